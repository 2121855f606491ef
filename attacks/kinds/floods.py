"""Many more requests than a person sends."""

import asyncio
import contextlib

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from attacks.clients import RECONNECT_SECONDS, hurry
from attacks.scene import Scene, attack
from attacks.target import headers_of

CONNECTIONS, ANONYMOUS, SOCKETS = 32, 64, 80
LINES = 500


async def _customer_with_orders(scene: Scene) -> str:
    token = await scene.target.account("hog")
    sku = await scene.target.product(units=LINES)
    order = {"customerName": "Hog", "items": [{"sku": sku, "quantity": 1}]}
    await scene.target.bulk([order] * LINES, token=token)
    return token


@attack("board", f"{CONNECTIONS} connections of one customer to the board")
async def board(scene: Scene) -> None:
    token = await _customer_with_orders(scene)
    async with scene.honest():
        await scene.together(
            hurry(scene, lambda: "/api/board", token=lambda: token) for _ in range(CONNECTIONS)
        )


@attack("lists", f"{CONNECTIONS} connections of one customer to long lists, searches and exports")
async def lists(scene: Scene) -> None:
    token = await _customer_with_orders(scene)
    paths = [
        "/api/orders?pageSize=200",
        "/api/board/search?q=a",
        "/api/orders/export",
        "/api/inventory?pageSize=200",
    ]
    async with scene.honest():
        await scene.together(
            hurry(scene, lambda: scene.dice.choice(paths), token=lambda: token) for _ in range(CONNECTIONS)
        )


@attack("anonymous", f"{ANONYMOUS} connections from everywhere, without any login, to all that there is")
async def anonymous(scene: Scene) -> None:
    paths = [
        "/",
        "/api",
        "/api/orders",
        "/api/schema",
        "/api/inventory",
        "/swagger",
        "/health",
        "/admin/login/",
    ]
    async with scene.honest():
        await scene.together(
            hurry(scene, lambda: scene.dice.choice(paths), address=lambda: anywhere(scene))
            for _ in range(ANONYMOUS)
        )


def anywhere(scene: Scene) -> str:
    """Return an address that has most likely not been used before."""
    return ".".join(str(scene.dice.randint(1, 250)) for _ in range(4))


@attack(
    "sockets", f"{SOCKETS} sockets of one customer that talk without end, and come again when they are closed"
)
async def sockets(scene: Scene) -> None:
    token = await scene.target.account("socket")
    async with scene.honest():
        await scene.together(_talk(scene, token if n % 4 else "wrong") for n in range(SOCKETS))


async def _talk(scene: Scene, token: str) -> None:
    url = f"ws://127.0.0.1:{scene.target.port}/ws/orders"
    headers = headers_of(token, "192.0.2.66")
    while True:
        try:
            async with connect(url, additional_headers=headers, compression=None, proxy=None) as socket:
                while True:
                    await socket.send("x" * scene.dice.choice([1, 1000, 60_000]))
        except ConnectionClosed as closed:
            scene.answers[str(closed.rcvd.code if closed.rcvd else "cut off")] += 1
        except InvalidStatus as refused:
            scene.answers[str(refused.response.status_code)] += 1
        except (OSError, TimeoutError, WebSocketException):
            scene.answers["none"] += 1
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.sleep(RECONNECT_SECONDS)
