"""Every place where a process can be made to fail, in the order an order passes them.

`before_commit` is inside the transaction, after its last statement; `end` comes after the step's last commit.
A step's places are passed once for each batch, those around a provider's call once for each call.
"""

STEPS = (
    "reserve_stock",
    "quote_shipping",
    "authorize_payment",
    "capture_payment",
    "settle",
    "release_stock",
    "return_money",
    "complete",
)
CALLS = ("authorize", "capture", "void", "refund", "lookup")

PLACES = frozenset(
    {
        # Placing an order (rows F1 to F3 of the fault matrix). The order, its journal and its Idempotency-Key are
        # one statement, which commits by itself: there is no place between the insert and its commit.
        "post.before_insert",
        "post.after_commit",
        # Cancelling, completing, retrying, processing.
        "command.before_commit",
        # The dispatcher (F4, F5).
        "claim.before_commit",
        "claim.after_commit",
        "send.after",
        # The steps (F6).
        *(f"{step}.{place}" for step in STEPS for place in ("begin", "before_commit", "end")),
        # Those that call the provider commit before and after: what they are about to ask, and what came of it. The
        # capture is part of whichever step joins the legs.
        "authorize_payment.before_intent_commit",
        "capture_payment.before_intent_commit",
        "return_money.before_intent_commit",
        "return_money.before_record",
        # Around each call to the payment provider.
        *(f"{call}.{place}" for call in CALLS for place in ("before_call", "after_call")),
        # Answers to calls that were handed over, some milliseconds' worth.
        "answers.before_commit",
        # An answer that came after its batch had gone on.
        "late.before_commit",
        # Moving orders to the archive.
        "archive.before_commit",
        # A webhook of the payment provider.
        "webhook.before_commit",
        "webhook.after_commit",
    }
)
