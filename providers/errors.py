"""What can become of a call to a provider, besides an answer.

The difference that matters is what we know afterwards: that nothing happened, that something may have
happened, or that the provider said no.
"""


class ProviderUnavailable(Exception):
    """Nothing was done: the call was never sent, was turned away, or only asked for something to read."""

    def __init__(self, provider: str, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"{provider} is unavailable: {reason}")
        self.provider = provider
        self.reason = reason
        self.retry_after = retry_after  # seconds until a call may go through again, where that is known


class OutcomeUnknown(Exception):
    """The call may have been done: look it up by its key before doing anything else about it."""

    def __init__(self, provider: str, reason: str) -> None:
        super().__init__(f"{provider} gave no usable answer: {reason}")
        self.provider = provider
        self.reason = reason


class ProviderRefused(Exception):
    """The provider said no (4xx), and saying it again will not help."""

    def __init__(self, provider: str, status: int, code: str, message: str) -> None:
        super().__init__(f"{provider} refused with {status} {code}: {message}")
        self.provider = provider
        self.status = status
        self.code = code
        self.message = message
