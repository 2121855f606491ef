"""Passwords and tokens that are guessed."""

import asyncio
import secrets

from attacks.clients import hurry
from attacks.kinds.floods import anywhere
from attacks.scene import Scene, attack

GUESSERS = 16
TRIES, PAUSE_SECONDS = 5, 2.0
HONEST_ADDRESS = "198.51.100.8"


@attack("passwords", f"{GUESSERS} connections guess passwords, half of them from one address")
async def passwords(scene: Scene) -> None:
    username, password = f"guessed-{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    await scene.target.named_account(username, password)

    def guess() -> dict[str, str]:
        return {"username": username, "password": secrets.token_urlsafe(8)}

    def address_of(number: int) -> str:
        return "192.0.2.66" if number % 2 else anywhere(scene)

    async with scene.honest():
        await scene.together(
            hurry(
                scene,
                lambda: "/api/token",
                method="POST",
                body=guess,
                address=lambda number=number: address_of(number),  # type: ignore[misc]
            )
            for number in range(GUESSERS)
        )
    scene.expect(not scene.answers["200"], "a guess was right")
    status = await _log_in(scene, {"username": username, "password": password})
    scene.expect(status == 200, f"the right password was answered {status} afterwards")


async def _log_in(scene: Scene, credentials: dict[str, str]) -> int:
    """Log in as a person would, who tries again while the answer is 503. Return the last status."""
    for _ in range(TRIES):
        answer = await scene.target.call("POST", "/api/token", address=HONEST_ADDRESS, body=credentials)
        if answer.status != 503:
            break
        await asyncio.sleep(PAUSE_SECONDS)
    return answer.status


@attack("tokens", f"{GUESSERS} connections guess tokens, half of them from one address")
async def tokens(scene: Scene) -> None:
    def address_of(number: int) -> str:
        return "192.0.2.66" if number % 2 else anywhere(scene)

    async with scene.honest():
        await scene.together(
            hurry(
                scene,
                lambda: "/api/orders",
                token=lambda: f"opt_{secrets.token_urlsafe(32)}",
                address=lambda number=number: address_of(number),  # type: ignore[misc]
            )
            for number in range(GUESSERS)
        )
    scene.expect(not scene.answers["200"], "a guess was right")
