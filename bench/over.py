"""The same endpoint served synchronously and asynchronously: threads under WSGI beside an event loop under ASGI."""

from bench.contestants import Ours

SERVER = (
    "uvicorn bench.over_asgi:application --lifespan off --loop uvloop --http httptools --no-access-log"
    " --log-level warning --port {port}"
)


class OverASGI(Ours):
    """Our web process as an event loop: Django's ASGI handler, its views in a thread each."""

    name = "over ASGI"

    def start_web(self) -> None:
        port = self.rig.ports["web"]
        self.rig.start("web", SERVER.format(port=port).split())
        self.rig.wait_for(f"http://127.0.0.1:{port}/health/live")
