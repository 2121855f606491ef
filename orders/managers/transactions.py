"""The transaction number by which the feed orders events."""

from django.db.models import Func


class CurrentTransaction(Func):
    """A transaction number by which readers of the whole journal order events.

    At least the transaction's own, so that no reader passes the event before it is committed; at least the
    latest ended one's, because two transactions may lock an order in the opposite order of their numbers.
    """

    template = (
        "greatest(pg_current_xact_id()::text::bigint,"
        " pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)"
    )
