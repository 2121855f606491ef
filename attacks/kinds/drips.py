"""Clients that send or read a byte now and then."""

from attacks.clients import drip, head_of, read_slowly
from attacks.scene import Scene, attack

NDJSON = {"Content-Type": "application/x-ndjson", "Transfer-Encoding": "chunked"}
PAUSE_SECONDS = 0.5
BODIES, HEADS, READERS, ACCOUNTS = 40, 300, 40, 5
LINES = 500


@attack("bodies", f"{BODIES} chunked bodies of {ACCOUNTS} accounts, to bulk and to orders, a byte at a time")
async def bodies(scene: Scene) -> None:
    tokens = [await scene.target.account("drip") for _ in range(ACCOUNTS)]
    paths = ["/api/orders/bulk", "/api/orders"]
    beginnings = [
        head_of(scene, "POST", paths[n % 2], tokens[n % ACCOUNTS], **NDJSON) + b"\r\n" for n in range(BODIES)
    ]
    async with scene.honest():
        await scene.together(
            drip(scene, beginning, b"1\r\n{\r\n", pause=PAUSE_SECONDS) for beginning in beginnings
        )


@attack("heads", f"{HEADS} connections whose request's head never ends")
async def heads(scene: Scene) -> None:
    beginning = head_of(scene, "GET", "/api/orders", "") + b"X-Filler: "
    async with scene.honest():
        await scene.together(drip(scene, beginning, b"x", pause=PAUSE_SECONDS) for _ in range(HEADS))


@attack("readers", f"{READERS} readers of exports and lists, a byte at a time")
async def readers(scene: Scene) -> None:
    tokens = [await scene.target.account("reader") for _ in range(ACCOUNTS)]
    sku = await scene.target.product(units=ACCOUNTS * LINES)
    order = {"customerName": "Reader" * 20, "items": [{"sku": sku, "quantity": 1}]}
    for token in tokens:
        await scene.target.bulk([order] * LINES, token=token)
    paths = ["/api/orders/export", "/api/orders?pageSize=200"]
    requests = [head_of(scene, "GET", paths[n % 2], tokens[n % ACCOUNTS]) + b"\r\n" for n in range(READERS)]
    async with scene.honest():
        await scene.together(read_slowly(scene, request, pause=PAUSE_SECONDS) for request in requests)
