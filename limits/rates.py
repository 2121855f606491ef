"""Parsing of rates."""

from dataclasses import dataclass

PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
BLOCKED = "0"


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate: `requests` per `seconds`, which is also the burst."""

    requests: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> "Rate | None":
        """Parse "200/s" or "10/minute"; None for "off". Raises ValueError."""
        if text == "off":
            return None
        requests, _, period = text.partition("/")
        if not requests.isdigit() or int(requests) < 1 or period[:1] not in PERIODS:
            raise ValueError(f'A rate is like "200/s", "10/minute" or "off", not {text!r}.')
        return cls(int(requests), PERIODS[period[:1]])

    @property
    def gap(self) -> float:
        return self.seconds / self.requests
