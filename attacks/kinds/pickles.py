"""Code in the place of data."""

import asyncio
import pickle
from pathlib import Path
from typing import Any

import redis

from attacks.scene import Scene, attack

DATABASES = range(4)
EVERY_SECONDS = 0.5
RECOVERY_SECONDS = 60.0


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self._path),)


@attack("pickles", "a pickle is added to every key of Valkey, again and again")
async def pickles(scene: Scene) -> None:
    """Orders that are placed meanwhile may wait until Valkey is cleaned; none is refused, and no pickle is loaded."""
    target, trace = scene.target, scene.target.folder / "a-pickle-was-loaded"
    async with scene.honest():
        await scene.together([_poison_again(scene, pickle.dumps(Bomb(trace)))])
    with target.broker() as client:
        client.flushall()
    scene.expect(not trace.exists(), "a pickle was loaded")


async def _poison_again(scene: Scene, bomb: bytes) -> None:
    while True:
        for database in DATABASES:
            scene.answers["keys"] += await asyncio.to_thread(_poison, scene, database, bomb)
        await asyncio.sleep(EVERY_SECONDS)


def _poison(scene: Scene, database: int, bomb: bytes) -> int:
    """Add it to every key of a database, in keeping with the key's type. Return how many there were."""
    url, number = f"{scene.target.valkey.url}/{database}", 0
    with redis.Redis.from_url(url, socket_timeout=5) as client:
        for key in client.scan_iter(count=1000):
            kind = bytes(client.type(key))
            try:
                _write(client, kind, key, bomb)
            except redis.ResponseError:  # it has become another type meanwhile
                continue
            number += 1
    return number


def _write(client: "redis.Redis", kind: bytes, key: bytes, bomb: bytes) -> None:
    if kind == b"string":
        client.set(key, bomb, keepttl=True)
    elif kind == b"list":
        client.lpush(key, bomb)
    elif kind == b"hash":
        client.hset(key, mapping=dict.fromkeys([*client.hkeys(key), bomb], bomb))
    elif kind == b"set":
        client.sadd(key, bomb)
    elif kind == b"zset":
        client.zadd(key, {bomb: 1})
