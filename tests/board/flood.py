"""A flood of orders for the board in a real browser, without the pipeline behind it."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from django.contrib.auth.models import User
from django.template.loader import render_to_string
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from board.cards import Lane, legs_for_script
from board.pages import LANES
from launcher.engines import free_port
from orders.legs import LEGS
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
TICK_SECONDS = 0.05

Stage = tuple[str, str, int]  # event, status that it brings about, progress
GOOD: list[Stage] = [
    ("order_placed", "Pending", 0),
    ("processing_started", "Processing", 10),
    ("stock_reserved", "", 40),
    ("shipping_quoted", "", 55),
    ("payment_authorized", "", 80),
    ("payment_captured", "", 95),
    ("order_confirmed", "Confirmed", 100),
]
BAD: list[Stage] = [
    *GOOD[:4],
    ("payment_declined", "", 55),
    ("cancellation_started", "Cancelling", 55),
    ("order_rejected", "Rejected", 100),
]


class Flood:
    """Orders that come in at a rate and are each a stage further at every tick."""

    def __init__(self, *, per_second: int, seconds: float) -> None:
        self.orders = round(per_second * seconds)
        self._per_tick = max(1, round(per_second * TICK_SECONDS))
        self._next_id = 1
        self._under_way: list[tuple[int, list[Stage], int]] = []
        self._position = 0
        self.final: Counter[str] = Counter()

    def ticks(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the messages of each tick until every order is where it ends."""
        while self._next_id <= self.orders or self._under_way:
            for _ in range(self._per_tick):
                if self._next_id <= self.orders:
                    journey = BAD if self._next_id % 20 == 0 else GOOD
                    self._under_way.append((self._next_id, journey, 0))
                    self._next_id += 1
            yield [self._advance(index) for index in range(len(self._under_way))]
            for _, journey, stage in self._under_way:
                if stage == len(journey):
                    self.final[journey[-1][1]] += 1
            self._under_way = [each for each in self._under_way if each[2] < len(each[1])]

    def _advance(self, index: int) -> dict[str, Any]:
        order_id, journey, stage = self._under_way[index]
        self._under_way[index] = (order_id, journey, stage + 1)
        event, status, progress = journey[stage]
        self._position += 1
        message: dict[str, Any] = {
            "type": "OrderProcessingProgress",
            "orderId": order_id,
            "orderNumber": f"ORD-20260101000000-{order_id:04d}",
            "sequence": stage + 1,
            "position": f"{self._position}-{order_id}-{stage + 1}",
            "timestamp": datetime.now(UTC).isoformat(),
            "event": event,
            "progress": progress,
            "message": "Something happened to the order.",
        }
        if status:
            message |= {"status": status}
        if stage == 0:
            message |= {"customerName": f"Customer {order_id}", "amount": "20.00", "currency": "USD"}
        return message


class FloodServer:
    """The board's page with a socket that floods it once it is told to."""

    def __init__(self, flood: Flood) -> None:
        self.port = free_port()
        self._flood = flood
        self.may_begin = threading.Event()
        self.is_over = threading.Event()
        self._app = Starlette(
            routes=[
                Route("/", self._page),
                Route("/api/board", self._board),
                Route("/api/board/cards", self._cards),
                Route("/api/board/series", self._series),
                Route("/api/system/status", self._status),
                WebSocketRoute("/ws/orders", self._socket),
                Mount("/static", StaticFiles(directory=ROOT / "board" / "static")),
            ]
        )

    @property
    def url(self) -> str:
        """Where the board is."""
        return f"http://127.0.0.1:{self.port}/"

    async def _page(self, _: Request) -> HTMLResponse:
        context = {
            "lanes": LANES,
            "legs": LEGS,
            "legs_for_script": legs_for_script(),
            "viewer": User(username="boss"),
            "sees_shop": True,
            "sees_all": True,
        }
        policy = "default-src 'self'; img-src 'self' data:"
        html = await asyncio.to_thread(render_to_string, "board/board.html", context)
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})

    async def _board(self, _: Request) -> JSONResponse:
        lanes = {lane.value: {"count": 0, "isEstimate": False, "cards": []} for lane in Lane}
        now = datetime.now(UTC).isoformat()
        return JSONResponse({"position": "0-0-0", "at": now, "lanes": lanes, "counted": {}})

    async def _cards(self, _: Request) -> JSONResponse:
        return JSONResponse({"cards": []})

    async def _series(self, _: Request) -> JSONResponse:
        times = [2 * n for n in range(150)]
        figures = dict.fromkeys(
            ("placedPerSecond", "confirmedPerSecond", "p50Seconds", "p95Seconds", "underWay", "due"), 1.0
        )
        series = {
            name: [n % 9 for n in times] for name in ("placed", "confirmed", "p50", "p95", "underWay", "due")
        }
        return JSONResponse({"times": times, "now": figures} | series)

    async def _status(self, _: Request) -> JSONResponse:
        return JSONResponse({"queues": {}, "providers": {}})

    async def _socket(self, socket: WebSocket) -> None:
        await socket.accept()
        await asyncio.to_thread(self.may_begin.wait, 60)
        loop = asyncio.get_running_loop()
        due = loop.time()
        for messages in self._flood.ticks():
            await socket.send_text(json.dumps(messages))
            due += TICK_SECONDS
            await asyncio.sleep(max(0.0, due - loop.time()))
        self.is_over.set()
        await socket.receive()

    @contextmanager
    def running(self) -> Iterator["FloodServer"]:
        """Serve as long as the block runs."""
        config = uvicorn.Config(self._app, port=self.port, log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        until(lambda: server.started)
        try:
            yield self
        finally:
            self.may_begin.set()
            server.should_exit = server.force_exit = True
            thread.join(10)
