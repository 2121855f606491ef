"""What customers read, on their order's page and in mails: one table, translated by Django's catalogues."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from orders.legs import LEGS, PAYMENT
from orders.refunding.extent import RefundState
from orders.status import Status

Text = str | Promise

# A leg that names no other reason is refused by its event.
OF_LEGS = {
    str(state.event): state.customer_text for leg in LEGS for state in leg.states.values() if state.is_refused
}
# Rejections. Typed reasons are quoted.
REASONS: dict[str, Text] = OF_LEGS | {
    "out_of_stock": _("Not everything you ordered is in stock."),
    "not_shippable": _("We don't deliver to this address."),
    "card_declined": _("Your bank declined the payment."),
    "insufficient_funds": _("Your bank declined the payment: insufficient funds."),
    "expired_card": _("Your card has expired."),
    "payment_declined": _("The payment was declined."),
    "capture_declined": _("The payment could not be completed."),
    "payment_not_completed": _("The payment was not completed in time."),
}

ADJUSTMENTS: dict[str, Text] = {
    "tax": _("Tax"),
    "discount": _("Discount"),
    "fee": _("Fee"),
    "tip": _("Tip"),
    "shipping": _("Shipping"),
}
INCLUDED = _("Included: {name}")

STATUSES: dict[Status, Text] = {
    Status.PENDING: _("Received"),
    Status.PROCESSING: _("Processing"),
    Status.CONFIRMED: _("Confirmed"),
    Status.COMPLETED: _("Shipped"),
    Status.CANCELLING: _("Being cancelled"),
    Status.CANCELLED: _("Cancelled"),
    Status.REJECTED: _("Not accepted"),
}
HEADLINES: dict[Status, Text] = {
    Status.PENDING: _("We've received your order"),
    Status.PROCESSING: _("We're processing your order"),
    Status.CONFIRMED: _("Your order is confirmed"),
    Status.COMPLETED: _("Your order has shipped"),
    Status.CANCELLING: _("Your order is being cancelled"),
    Status.CANCELLED: _("Your order is cancelled"),
    Status.REJECTED: _("We couldn't process your order"),
}
CANCELLED_AND_REFUNDED = _("Your order is cancelled and refunded")

STORIES: dict[Status, Text] = {
    Status.PROCESSING: _("We're reserving your items and authorizing the payment. This takes a moment."),
    Status.CONFIRMED: _(
        "Your items are reserved and {total} is paid. We'll show it here when your order ships."
    ),
    Status.COMPLETED: _("{total} is paid. Thank you for your order."),
}
FREE_STORIES: dict[Status, Text] = {
    Status.CONFIRMED: _(
        "Your items are reserved, and there is nothing to pay. We'll show it here when your order ships."
    ),
    Status.COMPLETED: _("There was nothing to pay. Thank you for your order."),
}
# Of orders of which staff capture the payment, in parts.
AUTHORIZED_STORIES: dict[Status, Text] = {
    Status.CONFIRMED: _(
        "Your items are reserved and the payment of {total} is authorized. We'll show it here when your order ships."
    ),
    Status.COMPLETED: _("The payment of {total} is authorized. Thank you for your order."),
}
# What was not captured by then is held no more.
EXPIRED_STORIES: dict[Status, Text] = {
    Status.CONFIRMED: _("Your items are reserved. We'll show it here when your order ships."),
    Status.COMPLETED: _("Thank you for your order."),
}
HELD = _("Your order is on hold. Nothing is reserved or charged until it is released.")
IN_THE_QUEUE = _(
    "The last items are reserved by orders that are not paid yet. You're next in line if any become available."
    " We charge you only once the items are yours."
)
NEXT_IN_LINE = _("Your order is next in line. Nothing has been charged yet.")

MONEY_ON_ITS_WAY: dict[str, Text] = {
    PAYMENT.CAPTURED: _("Your refund of {total} is on its way."),
    PAYMENT.REFUNDING: _("Your refund of {total} is on its way."),
    PAYMENT.AUTHORIZED: _("The {total} hold on your card is being released."),
    PAYMENT.PENDING: _("If anything is charged in the meantime, it will be refunded."),
    PAYMENT.LATER: _("If anything is charged in the meantime, it will be refunded."),
    # Perhaps a part of it was captured.
    PAYMENT.HELD: _("Your payment is being released, and what was charged of it refunded."),
    PAYMENT.MOVING: _("Your payment is being released, and what was charged of it refunded."),
    PAYMENT.EXPIRED: _("Your payment is being released, and what was charged of it refunded."),
}
MONEY_AT_THE_END: dict[str, Text] = {
    PAYMENT.REFUNDED: _("You were refunded {total}."),
    PAYMENT.VOIDED: _("The {total} hold on your card was released. You were not charged."),
}
NOT_CHARGED = _("You were not charged.")
REFUNDS: dict[str, Text] = {
    RefundState.PARTLY: _("Partly refunded"),
    RefundState.REFUNDED: _("Refunded"),
}
# Of an authorization that expired before all of it was captured.
CHARGED = _("You were charged {total}.")
# Refunds of parts.
PARTS_REFUNDED = _("You were refunded {total}.")
PARTS_ON_THEIR_WAY = _("Your refund of {total} is on its way.")

# What cancelling does.
EFFECTS: dict[str, Text] = {
    PAYMENT.CAPTURED: _("You'll be refunded {total}."),
    PAYMENT.REFUNDING: _("You'll be refunded {total}."),
    PAYMENT.AUTHORIZED: _("The {total} hold on your card will be released."),
    # Perhaps a part of it is captured.
    PAYMENT.HELD: _("Your payment will be released, and what was charged of it refunded."),
    PAYMENT.MOVING: _("Your payment will be released, and what was charged of it refunded."),
    PAYMENT.EXPIRED: _("You'll be refunded {total}."),
}
NOTHING_CHARGED = _("Nothing has been charged yet.")

# Payments that are not decided yet, by what the order waits for.
UNDECIDED: dict[str, Text] = {
    PAYMENT.CUSTOMER: _("Your items are waiting for the payment of {total}: please complete it."),
    PAYMENT.BANK: _("We're waiting for your payment of {total}. Your order goes on as soon as it arrives."),
}

PROBLEM = _("There's a problem with this order. Our team is on it; no action needed.")
DELAYED = _("This is taking longer than usual. We keep retrying, and you won't be charged twice.")

# Steps of an order's story.
STEPS: dict[str, Text] = {
    "received": _("Order received"),
    "confirmed": _("Paid and confirmed"),
    "shipped": _("Shipped"),
    "cancelled": _("Cancelled"),
    "rejected": _("Not accepted"),
    "refunded": _("Refunded"),
}
