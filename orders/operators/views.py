"""Staff API: stuck orders by cause, unresolved payments, tasks."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from msgspec import Meta
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.permissions import FORBIDDEN, staff_with, user_of
from api.problems import Problem
from api.requests import Body, read
from api.responses import Answer
from api.schema import REFERENCE, refusals
from api.validators import check_text
from iso.currencies import rounded
from orders import queries
from orders.models import Order
from orders.operators import money_at_risk, runs, stuck_reasons
from orders.operators.actions import LONGEST_REASON, OPERATIONS, Operation, operate, previews, totals
from orders.permissions import may_operate

MOST_AT_ONCE = 5000
# --- Stuck orders -----------------------------------------------------------------------------------------


class Money(Answer):
    """An amount in one currency."""

    currency: str
    amount: Decimal


class StuckGroup(Answer):
    """Orders stuck by one cause."""

    cause: str  # the cause's key
    title: str
    needs_person: bool
    orders: int
    amounts: list[Money]
    oldest_placed_at: datetime | None


class StuckGroups(Answer):
    """All causes, those that need attention first."""

    results: list[StuckGroup]


class Stuck(APIView):
    """Stuck orders by cause."""

    read_cost = 10
    permission_classes = [staff_with("orders.view_order")]

    @extend_schema(
        tags=["orders"],
        operation_id="list_stuck_orders",
        summary="List stuck orders by cause, with counts and amounts (staff)",
        responses={200: StuckGroups} | FORBIDDEN,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002 - the same for all
        """Return the causes."""
        return Response(StuckGroups(results=[_group(group) for group in stuck_reasons.groups()]))


def _money(currency: str, amount: Decimal) -> Money:
    return Money(currency=currency, amount=rounded(amount, currency))


def _group(group: stuck_reasons.Group) -> StuckGroup:
    return StuckGroup(
        cause=group.cause,
        title=group.title,
        needs_person=group.needs_person,
        orders=group.orders,
        amounts=[_money(currency, amount) for currency, amount in group.amounts.items()],
        oldest_placed_at=group.oldest_at,
    )


class ActOnCause(Body, kw_only=True):
    """An operation on all orders of a cause; with `preview` nothing changes."""

    cause: Annotated[str, Meta(min_length=1, max_length=250)]
    reason: Annotated[str, Meta(max_length=LONGEST_REASON)] = ""
    preview: bool = False


class ActedOnCause(Answer):
    """The outcome. With `preview` nothing has changed."""

    orders: int
    done: int
    effects: list[str]
    more: bool  # more orders of this cause are left: repeat


class StaffWhoOperate(BasePermission):
    """Staff with permission for the view's operation."""

    message = "Only operators have permission for this."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return bool(request.user.is_staff and may_operate(request.user, getattr(view, "operation", "")))


class StuckCommand(APIView):
    """An operation on all orders stuck by a cause; repeatable."""

    permission_classes = [StaffWhoOperate]
    operation = ""

    def post(self, request: Request) -> Response:
        """Run the operation on up to 5,000 orders, or preview it."""
        user, wanted = user_of(request), read(request.data, ActOnCause)
        check_text(wanted.reason, field="reason")
        operation = OPERATIONS[self.operation]
        if operation.needs_reason and not wanted.reason.strip() and not wanted.preview:
            raise Problem("required", "A reason is required. It is recorded with the orders.", field="reason")
        return Response(_act(operation, wanted, user.pk))


def _act(operation: Operation, wanted: ActOnCause, user_id: int) -> ActedOnCause:
    kept = stuck_reasons.kept_by(wanted.cause, Order.objects.select_related("journey").order_by("pk"))
    orders = list(kept.prefetch_related("lines")[: MOST_AT_ONCE + 1])
    chosen = [preview for preview in previews(operation, orders[:MOST_AT_ONCE]) if preview.effects]
    done = 0
    if not wanted.preview:
        results = operate(operation, [p.order.pk for p in chosen], user_id=user_id, reason=wanted.reason)
        done = sum(each.is_done for each in results.values())
    return ActedOnCause(
        orders=len(chosen), done=done, effects=totals(chosen), more=len(orders) > MOST_AT_ONCE
    )


def described(name: str, summary: str) -> Callable[..., Any]:
    return extend_schema_view(
        post=extend_schema(
            tags=["orders"],
            operation_id=name,
            summary=summary,
            request=ActOnCause,
            responses={200: ActedOnCause}
            | refusals(_400="malformed_json required unknown_field wrong_type too_long control_characters")
            | FORBIDDEN,
        )
    )


@described("retry_stuck_orders", "Retry all orders stuck by a cause (staff)")
class RetryStuck(StuckCommand):
    """Retries all of them now."""

    operation = "retry"


@described("cancel_stuck_orders", "Cancel all orders stuck by a cause (staff)")
class CancelStuck(StuckCommand):
    """Cancels all of them."""

    operation = "cancel"


# --- Tasks ------------------------------------------------------------------------------------------------


class TaskRun(Answer):
    """A Celery task that worked on the order's batch."""

    task: str
    name: str
    batch: int
    orders: int  # in that batch
    worker: str
    seconds: float
    ended_at: datetime


class TaskRuns(Answer):
    """The tasks that worked on an order, by end time."""

    results: list[TaskRun]


class OrderTasks(APIView):
    """Which tasks worked on an order."""

    permission_classes = [staff_with("orders.view_order")]

    @extend_schema(
        tags=["orders"],
        operation_id="list_order_tasks",
        summary="List the tasks that worked on an order, with worker and duration (staff)",
        parameters=[REFERENCE],
        responses={200: TaskRuns} | refusals(_404="not_found") | FORBIDDEN,
    )
    def get(self, request: Request, reference: str) -> Response:
        """Return the tasks."""
        order = queries.by_reference(user_of(request), reference)
        return Response(TaskRuns(results=[_run(run) for run in runs.runs_of(order)]))


def _run(run: runs.Run) -> TaskRun:
    return TaskRun(
        task=run.task,
        name=run.name,
        batch=run.batch_id,
        orders=run.orders,
        worker=run.worker,
        seconds=run.seconds,
        ended_at=run.ended_at,
    )


# --- Money ------------------------------------------------------------------------------------------------


class RiskBody(Answer):
    """An unresolved payment of one order."""

    order_id: int
    order_number: str
    amount: Decimal
    currency: str
    since: datetime
    cause: str
    provider_code: str | None
    next_step: str
    next_look: datetime | None


class Risks(Answer):
    """Unresolved payments, the oldest first, and their sums."""

    results: list[RiskBody]
    sums: list[Money]


class MoneyAtRisk(APIView):
    """Unresolved payments."""

    read_cost = 10
    permission_classes = [staff_with("payments.view_transaction")]

    @extend_schema(
        tags=["payments"],
        operation_id="list_money_at_risk",
        summary="List unresolved payments (staff)",
        responses={200: Risks} | FORBIDDEN,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002 - the same for all
        """Return the unresolved payments."""
        sums = [_money(each.currency, each.amount) for each in money_at_risk.sums_at_risk()]
        return Response(Risks(results=[_risk(risk) for risk in money_at_risk.at_risk()], sums=sums))


def _risk(risk: money_at_risk.Risk) -> RiskBody:
    return RiskBody(
        order_id=risk.order_id,
        order_number=risk.number,
        amount=rounded(risk.amount, risk.currency),
        currency=risk.currency,
        since=risk.since,
        cause=risk.cause,
        provider_code=risk.code or None,
        next_step=risk.next_step,
        next_look=risk.due_at,
    )
