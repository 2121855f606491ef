"""Failures of calls to providers, by what is known afterwards:

nothing happened, it may have, or it was refused.
"""


class ProviderUnavailable(Exception):
    """Nothing was executed."""

    def __init__(self, provider: str, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"{provider} is unavailable: {reason}")
        self.provider = provider
        self.reason = reason
        self.retry_after = retry_after  # seconds until a retry makes sense, if known


class OutcomeUnknown(Exception):
    """It may have been executed: look it up by its key first."""

    def __init__(self, provider: str, reason: str) -> None:
        super().__init__(f"{provider} gave no usable answer: {reason}")
        self.provider = provider
        self.reason = reason


class ProviderRefused(Exception):
    """The provider refused (4xx); a retry is pointless."""

    def __init__(self, provider: str, status: int, code: str, message: str, content: object = None) -> None:
        super().__init__(f"{provider} refused with {status} {code}: {message}")
        self.provider = provider
        self.status = status
        self.code = code
        self.message = message
        self.content = content  # of the answer, unchecked
