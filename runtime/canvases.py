"""Celery canvases, sent again from the messages of the first: building one costs Celery four times as much."""

import json
import re
from collections.abc import Callable
from threading import get_ident
from typing import Any
from uuid import uuid4

from celery import Signature, current_app
from celery.signals import before_task_publish

ID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
IDS = re.compile(f"({ID})")
GROUP = re.compile(f'"group(?:_id)?": "({ID})"')
NUMBER = "%number%"


class Canvases:
    """Sends canvases whose tasks all have one argument, a number, by the keyword `name`.

    The first of a kind goes Celery's way and is recorded. Those after it differ in their ids and the number.
    """

    def __init__(self, name: str) -> None:
        # as JSON, and as the representation of arguments
        self._number = re.compile(rf"(?<=\b{name}[\"']: )\d+")
        self._recorded: dict[str, Recorded] = {}

    def send(self, kind: str, number: int, build: Callable[[], Signature]) -> None:
        """Send a canvas of a kind; raises kombu's OperationalError without a broker."""
        if recorded := self._recorded.get(kind):
            recorded.send(number)
        else:
            text, size = _send_first(build())
            self._recorded[kind] = Recorded(self._number.sub(NUMBER, text), size)


def _send_first(canvas: Signature) -> tuple[str, int]:
    """Send a canvas and return its messages as JSON, and how many they are."""
    messages: list[str] = []
    own_thread = get_ident()

    def record(**message: Any) -> None:
        if get_ident() == own_thread:
            messages.append(json.dumps({part: message[part] for part in Recorded.PARTS}))

    before_task_publish.connect(record, weak=False)
    try:
        canvas.apply_async(retry=False)
    finally:
        before_task_publish.disconnect(record)
    return f"[{','.join(messages)}]", len(messages)


class Recorded:
    """The messages of a canvas: one task, or a chord of which each message begins a leg."""

    PARTS = ("sender", "body", "routing_key", "headers", "properties")

    def __init__(self, text: str, size: int) -> None:
        self._texts_and_ids = IDS.split(text)
        self._size = size
        groups = set(GROUP.findall(text))
        assert len(groups) <= 1, "a canvas has at most one chord"
        self._group = groups.pop() if groups else None

    def send(self, number: int) -> None:
        ids = {old: str(uuid4()) for old in self._texts_and_ids[1::2]}
        texts = [ids.get(text, text) for text in self._texts_and_ids]
        if self._group:
            current_app.backend.set_chord_size(ids[self._group], self._size)
        with current_app.producer_or_acquire() as producer:
            for message in json.loads("".join(texts).replace(NUMBER, str(number))):
                _publish(producer, **message)


def _publish(
    producer: Any, *, sender: str, body: object, routing_key: str, headers: Any, properties: Any
) -> None:
    before_task_publish.send(
        sender=sender, body=body, routing_key=routing_key, headers=headers, properties=properties
    )
    producer.publish(
        body,
        exchange="",
        routing_key=routing_key,
        serializer=current_app.conf.task_serializer,
        headers=headers,
        retry=False,
        **properties,
    )
