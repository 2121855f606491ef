"""All fault injection points, in the order of processing.

`before_commit` is after the transaction's last statement, `end` after the step's last commit. A step's points run once
per batch, a provider call's once per call.
"""

STEPS = (
    "reserve_stock",
    "quote_shipping",
    "authorize_payment",
    "capture_payment",
    "settle",
    "release_stock",
    "return_money",
    "refund_credits",
    "complete",
)
CALLS = ("authorize", "capture", "void", "refund", "lookup")

PLACES = frozenset(
    {
        # Placing an order (F1 to F3): one autocommitted statement, so no point between insert and commit.
        "post.before_insert",
        "post.after_commit",
        "command.before_commit",
        # Dispatch (F4, F5).
        "claim.before_commit",
        "claim.after_commit",
        "send.after",
        # Steps (F6).
        *(f"{step}.{place}" for step in STEPS for place in ("begin", "before_commit", "end")),
        # Steps that call the provider commit the intent before, and the outcome after. The fan-in step captures.
        "authorize_payment.before_intent_commit",
        "capture_payment.before_intent_commit",
        "return_money.before_intent_commit",
        "refund_credits.before_intent_commit",
        "return_money.before_record",
        *(f"{call}.{place}" for call in CALLS for place in ("before_call", "after_call")),
        # Groups of answers from the event loop.
        "answers.before_commit",
        # Answers after their batch has moved on.
        "late.before_commit",
        "archive.before_commit",
        "restore.before_commit",
        "webhook.before_commit",
        "webhook.after_commit",
    }
)
