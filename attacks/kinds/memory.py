"""Requests that fill memory."""

import secrets

from attacks.clients import head_of, hurry, pour_unread
from attacks.kinds.drips import NDJSON
from attacks.scene import Scene, attack

CONNECTIONS, UPLOADS = 16, 4
MOST_VALKEY_MB = 32
MOST_WEB_MB = 400  # unread answers of each upload are kept up to a limit
WRONG_LINES = b"1\n" * 8000  # some 60 bytes of answer for each two of a line


def _valkey_mb(scene: Scene) -> float:
    with scene.target.broker() as client:
        return float(client.info("memory")["used_memory"]) / 1e6


@attack("questions", f"{CONNECTIONS} connections list the catalogue, no two with the same question")
async def questions(scene: Scene) -> None:
    tokens = [await scene.target.account("asker") for _ in range(4)]
    before = _valkey_mb(scene)
    async with scene.honest():
        await scene.together(
            hurry(
                scene,
                lambda: f"/api/inventory?pageSize=100&minPrice=0.{secrets.randbelow(10**9)}",
                token=lambda: scene.dice.choice(tokens),
            )
            for _ in range(CONNECTIONS)
        )
    grown = _valkey_mb(scene) - before
    scene.notes.append(f"Valkey {grown:+.1f} MB")
    scene.expect(grown < MOST_VALKEY_MB, f"the memory of Valkey grew by {grown:.0f} MB")


@attack("unread", f"{UPLOADS} bulk requests of wrong lines whose answers nobody reads")
async def unread(scene: Scene) -> None:
    tokens = [await scene.target.account("pour") for _ in range(UPLOADS)]
    requests = [head_of(scene, "POST", "/api/orders/bulk", token, **NDJSON) + b"\r\n" for token in tokens]
    before, _ = scene.target.usage("web-1")
    async with scene.honest():
        await scene.together(pour_unread(scene, request, WRONG_LINES) for request in requests)
        after, _ = scene.target.usage("web-1")
    scene.notes.append(f"web {after - before:+.0f} MB")
    scene.expect(after - before < MOST_WEB_MB, f"the memory of web grew by {after - before:.0f} MB")
