"""System checks of legs: each part that a declaration in `orders.legs` needs is there."""

import re
from collections.abc import Iterator
from dataclasses import fields

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import FieldDoesNotExist

from config.checks import registered_tasks
from faults.places import STEPS
from orders.events import EventType
from orders.legs import LEGS, PAYMENT
from orders.rules.leg_types import Leg
from orders.workflow import JourneyState

QUEUES_OF_WORKER = re.compile(r"^[\w-]+:.*\bworker\b.*? -Q ([\w,]+)", re.MULTILINE)
START_PERCENT = 10


def legs_are_whole(**_: object) -> list[CheckMessage]:
    """Each leg has its column, field, steps, tasks, queue, worker and provider; their waits do not collide."""
    tasks = registered_tasks()
    broken = [complaint for leg in LEGS for complaint in (*_parts(leg, tasks), *_states(leg))]
    return [Error(complaint, id="config.E011") for complaint in (*broken, *_together())]


def _parts(leg: Leg, tasks: set[str]) -> Iterator[str]:
    if leg.name not in {field.name for field in fields(JourneyState)}:
        yield f"The leg {leg.name!r} has no field in orders.workflow.JourneyState."
    if leg.queue not in {queue.name for queue in settings.CELERY_TASK_QUEUES}:
        yield f"The leg {leg.name!r} uses the queue {leg.queue!r}, which is not in QUEUES."
    if leg.queue not in _queues_with_workers():
        yield f"No worker in the Procfile reads the queue {leg.queue!r} of the leg {leg.name!r}."
    # The payment's gateway is chosen by settings, which check it.
    if leg.provider and leg is not PAYMENT and leg.provider not in settings.PROVIDERS:
        yield f"The leg {leg.name!r} calls {leg.provider!r}, which is not in PROVIDERS."
    for step in filter(None, (leg.step, leg.way_back)):
        if leg.task(step) not in tasks:
            yield f"The task {leg.task(step)!r} of the leg {leg.name!r} is not registered."
        if step not in STEPS:
            yield f"The step {step!r} of the leg {leg.name!r} has no kill points in faults.places."


def _states(leg: Leg) -> Iterator[str]:
    try:
        longest = _longest("Journey", leg.name)
    except FieldDoesNotExist:
        yield f"The leg {leg.name!r} has no column in orders.models.Journey."
        return
    if leg.PENDING:
        yield f"The leg {leg.name!r} is pending with the code {leg.PENDING.code!r}: it has to be empty."
    for state in leg.states.values():
        if len(state) > longest:
            yield f"The code {state.code!r} of the leg {leg.name!r} is too long for its column."
        if state.is_refused and not state.event:
            yield f"The leg {leg.name!r} is refused by {state.code!r}, without an event."
        if state.event and not state.customer_text:
            yield f"The event {state.event!s} of the leg {leg.name!r} has no words for customers."
        if state.approved_as and state.approved_as not in leg.states:
            yield f"The leg {leg.name!r} has no state {state.approved_as!r} to be approved as."


def _together() -> Iterator[str]:
    if sum(bool(leg.waits_in_any_state) for leg in LEGS) > 1:
        yield "Two legs have waits that no state records: they would overwrite each other."
    codes = [str(wait) for leg in LEGS for wait in leg.waits()]
    if len(set(codes)) < len(codes):
        yield f"Two legs wait under one code: {codes}."
    if START_PERCENT + sum(max(state.weight for state in leg.states.values()) for leg in LEGS) >= 100:
        yield "The progress of all legs adds up to 100 percent before the order has ended."
    if too_long := [event.value for event in EventType if len(event) > _longest("OrderEvent", "type")]:
        yield f"Types of events are too long for their column: {too_long}."


def _longest(model: str, column: str) -> int:
    """Return the characters that a column takes. Raises FieldDoesNotExist."""
    return getattr(apps.get_model("orders", model)._meta.get_field(column), "max_length", 0) or 0


def _queues_with_workers() -> set[str]:
    procfile = settings.BASE_DIR / "Procfile"
    found = (
        QUEUES_OF_WORKER.findall(procfile.read_text()) if procfile.exists() else [",".join(settings.QUEUES)]
    )
    return {queue for queues in found for queue in queues.split(",")}
