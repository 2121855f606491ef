"""Close codes: 44xx corresponds to HTTP's 4xx."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """A close code. `comes_back`: reconnecting can help."""

    code: int
    reason: str  # at most 123 bytes: a close frame's limit
    comes_back: bool = False


class Refused(Exception):
    """Closes the socket with a reason."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


BAD_REQUEST = 4400
NOT_LOGGED_IN = Refusal(4401, "Log in, or open the socket with a fresh ticket.")
NOT_FOUND = Refusal(4404, "There is no such order.")
NO_SUCH_PATH = Refusal(4404, "Not found: there is no such address.")
TOO_SLOW = Refusal(4408, "Too slow. Reconnect with after= to go on.", comes_back=True)
MORE_TO_REPLAY = Refusal(4413, "More was missed. Reconnect with after= to go on.", comes_back=True)
FLOOD = Refusal(4429, "Too many messages.")
TOO_MANY_SOCKETS = Refusal(4429, "This account has too many sockets open.")
TOO_BIG = Refusal(1009, "The message is too big.")
TRY_AGAIN = Refusal(1013, "The journal cannot be read now. Try again.", comes_back=True)
FAILED = Refusal(1011, "Something went wrong here. Try again.", comes_back=True)
END = Refusal(1000, "")


def bad_request(reason: str) -> Refused:
    return Refused(Refusal(BAD_REQUEST, reason))
