"""Rates, as settings and operators write them."""

from dataclasses import dataclass

PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
BLOCKED = "0"


@dataclass(frozen=True, slots=True)
class Rate:
    """Up to N requests at once, and as many again within a number of seconds."""

    requests: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> "Rate | None":
        """Return the rate that "200/s" or "10/minute" stands for; None for "off". ValueError if neither."""
        if text == "off":
            return None
        requests, _, period = text.partition("/")
        if not requests.isdigit() or int(requests) < 1 or period[:1] not in PERIODS:
            raise ValueError(f'A rate is like "200/s", "10/minute" or "off", not {text!r}.')
        return cls(int(requests), PERIODS[period[:1]])

    @property
    def gap(self) -> float:
        """Seconds after which one more request is allowed."""
        return self.seconds / self.requests
