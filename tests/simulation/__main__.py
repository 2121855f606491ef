"""`python -m tests.simulation`: many worlds, or one of them again."""

import argparse
import os
import secrets
import sys
import time

import django


def main() -> int:
    """Run the worlds asked for; exit with 1 if any breaks a promise."""
    options = read_options()
    _settle_in()
    from tests.simulation.world import World  # noqa: PLC0415 - only once the settings stand

    if options.replay is not None:
        violations = World(options.replay, options.size, plant=options.plant, tell=print).run()
    else:
        violations = run_many(World, options)
    for violation in violations[:50]:
        print(violation)  # noqa: T201
    return 1 if violations else 0


def run_many(world: type, options: argparse.Namespace) -> list[str]:
    violations: list[str] = []
    worlds, started = max(1, options.orders // options.size), time.process_time()
    for seed in range(options.seed, options.seed + worlds):
        violations += world(seed, options.size, plant=options.plant).run()
    seconds = time.process_time() - started
    print(  # noqa: T201
        f"{worlds * options.size} orders in {worlds} worlds, seeds {options.seed} to {options.seed + worlds - 1}:"
        f" {len(violations)} violations; {seconds:.1f} CPU-seconds,"
        f" {worlds / seconds:.1f} seeds and {worlds * options.size / seconds:.0f} orders per CPU-second"
    )
    return violations


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000, help="how many orders in all")
    parser.add_argument("--seed", type=int, default=1, help="the first world's seed; the others follow")
    parser.add_argument("--size", type=int, default=100, help="orders in each world")
    parser.add_argument("--replay", type=int, help="live one world again and tell what happens in it")
    parser.add_argument("--plant", default="", help="with a fault of tests.planted planted")
    return parser.parse_args()


def _settle_in() -> None:
    """The settings require engine URLs; the simulation connects to none."""
    os.environ.setdefault("DATABASE_URL", "postgres://nobody:nothing@127.0.0.1:1/nowhere")
    os.environ.setdefault("REDIS_URL", "redis://127.0.0.1:1")
    os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe(50))
    os.environ.setdefault("ALLOW_SANDBOX", "1")
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()


if __name__ == "__main__":
    sys.exit(main())
