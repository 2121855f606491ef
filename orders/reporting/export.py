"""Streaming export of orders, at constant memory."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connections, transaction
from django.db.models import QuerySet

from api.renderers import ENCODER
from iso.currencies import rounded
from orders.legs import PAYMENT
from orders.models import Order, order_number
from orders.refunding.extent import CAPTURED_IN_PARTS, LOST, annotated, refund_state
from orders.rules.adjustments import of_rows

PIECE_ROWS = 1000
# A stalled reader's snapshot would block vacuuming.
IDLE_TIMEOUT_SECONDS = 60

# Columns and their sources. `orderNumber`, the total, what is captured and what is refunded are computed.
COLUMNS = {
    "id": "id",
    "orderNumber": "placed_at",
    "uuid": "uuid",
    "customerId": "customer_id",
    "customerName": "customer_name",
    "externalReference": "external_reference",
    "email": "email",
    "status": "journey__status",
    "goodsAmount": "goods_amount",
    "shippingAmount": "journey__shipping_amount",
    "totalAmount": "goods_amount",
    "refundedAmount": "refunded",
    "currency": "currency",
    "country": "country",
    "waitingFor": "journey__waiting_for",
    "reason": "journey__reason",
    "version": "journey__sequence",
    "placedAt": "placed_at",
    "createdAt": "placed_at",  # deprecated
    "finishedAt": "journey__finished_at",  # deprecated
    "adjustmentAmount": "adjustment_amount",
    "adjustments": "adjustments",
    "settledAt": "journey__finished_at",
    "refundState": "refundable",
    "capturedAmount": "refundable",
}
AMOUNTS = {
    "goodsAmount",
    "shippingAmount",
    "totalAmount",
    "refundedAmount",
    "adjustmentAmount",
    "capturedAmount",
}
# States of the payment in which what can be refunded at most is captured.
TAKEN = (PAYMENT.CAPTURED, PAYMENT.REFUNDING, *CAPTURED_IN_PARTS)
STAFF_COLUMNS = {"attention": "journey__attention"}
# What spreadsheets run as a formula, even behind invisible characters.
FORMULA = re.compile(
    r"[\s\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r]"
)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Format:
    """An export format: media type, heading, encoder."""

    content_type: str
    heading: Callable[[list[str]], bytes]
    written: Callable[[list[Row]], bytes]
    more_columns: dict[str, str] = field(default_factory=dict)

    def pieces(self, orders: QuerySet[Order], *, staff: bool) -> Iterator[bytes]:
        columns = COLUMNS | dict(self.more_columns) | (STAFF_COLUMNS if staff else {})
        yield self.heading(list(columns))
        sources = list(dict.fromkeys([*columns.values(), "journey__payment", "lost"]))
        rows = annotated(orders).annotate(lost=LOST).order_by("pk").values_list(*sources)
        with transaction.atomic(using=orders.db):
            _limit_idle_time(orders.db)
            piece = []
            for values in rows.iterator(chunk_size=PIECE_ROWS):
                piece.append(_row(columns, dict(zip(sources, values, strict=True))))
                if len(piece) == PIECE_ROWS:
                    yield self.written(piece)
                    piece = []
            yield self.written(piece)


def _limit_idle_time(alias: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_TIMEOUT_SECONDS}s'")


def _row(columns: dict[str, str], values: dict[str, Any]) -> Row:
    row = {name: None if values[source] == "" else values[source] for name, source in columns.items()}
    row["orderNumber"] = order_number(values["id"], values["placed_at"])
    row["status"] = values["journey__status"].capitalize()
    total = values["goods_amount"] + values["adjustment_amount"] + (values["journey__shipping_amount"] or 0)
    row["totalAmount"] = total
    payment, refunded, refundable = values["journey__payment"], values["refunded"], values["refundable"]
    row["refundState"] = refund_state(payment, refunded=refunded, refundable=refundable)
    row["refundedAmount"] = refundable if payment == PAYMENT.REFUNDED else refunded
    lost = Decimal(0) if payment in CAPTURED_IN_PARTS else values["lost"]
    row["capturedAmount"] = refundable - lost if payment in TAKEN else Decimal(0)
    row["adjustments"] = of_rows(values["adjustments"])
    for name in AMOUNTS & row.keys():
        amount = row[name]
        row[name] = None if amount is None else rounded(amount, values["currency"])
    return row


def _as_ndjson(rows: list[Row]) -> bytes:
    return ENCODER.encode_lines(rows)


def _as_csv(rows: list[Row]) -> bytes:
    return _csv([_cell(value) for value in row.values()] for row in rows)


def _csv(rows: Iterable[list[Any]]) -> bytes:
    text = io.StringIO()
    # Quote all: a locale may separate cells by semicolons.
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if FORMULA.match(value) else value
    if isinstance(value, list):  # of adjustments
        return ENCODER.encode(value).decode() if value else ""
    return value.isoformat() if isinstance(value, datetime) else value


FORMATS = {
    "ndjson": Format("application/x-ndjson", lambda names: b"", _as_ndjson, {"metadata": "metadata"}),  # noqa: ARG005
    "csv": Format("text/csv; charset=utf-8", lambda names: _csv([names]), _as_csv),
}
