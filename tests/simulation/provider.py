"""The simulated payment provider: one effect for each key, and every way of not saying so."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from payments.gateways.in_process import DECLINES
from payments.gateways.protocol import LedgerLine, Outcome
from providers.errors import ProviderUnavailable
from tests.simulation.actors import Clock
from tests.simulation.dice import Dice

SUPPORT = "contact_support"
EXPIRED = "authorization_expired"
DONE = ("succeeded", "pending")


@dataclass(frozen=True, slots=True)
class Done:
    """An entry in the provider's own books."""

    kind: str
    reference: str
    parent: str
    amount: Decimal
    outcome: Outcome


@dataclass(slots=True)
class Account:
    """What the provider has of one order."""

    authorized: Decimal = Decimal(0)
    captured: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    voided: Decimal = Decimal(0)
    captures: int = 0

    @property
    def held(self) -> Decimal:
        return self.authorized - self.captured - self.voided


class Provider:
    """A gateway of `payments.gateways.protocol`."""

    waits = True
    talk = None

    def __init__(self, clock: Clock, dice: Dice) -> None:
        self._clock, self._dice = clock, dice
        self.books: dict[str, Done] = {}
        self._of_reference: dict[str, list[Done]] = {}
        self.on_news: Callable[[str, Outcome], None] = lambda key, outcome: None
        self.down_from, self.down_until = 0.0, 0.0
        if dice.happens("down"):
            self.down_from = dice.uniform(0, 10)
            self.down_until = self.down_from + dice.choice((2, 20, 200))
        # For how long the shop believes that an authorization is held; None: until it is captured or voided.
        self.expires_after = timedelta(seconds=dice.choice((20, 60))) if dice.random() < 0.6 else None
        self.last_expiry = 0.0  # of all that was authorized so far
        # What a look-up finds of an authorization that has expired: that, or that it was authorized once.
        self._finds_expiry = dice.random() < 0.5

    # --- The protocol ---

    def authorize(self, *, key: str, reference: str, amount: Decimal, currency: str, token: str) -> Outcome:
        declined = DECLINES.get(token)
        outcome = Outcome("declined", code=declined[0]) if declined else Outcome("succeeded", f"auth:{key}")
        return self._call(key, Done("authorize", reference, "", amount, outcome))

    def capture(
        self, *, key: str, reference: str, authorization: str, amount: Decimal, currency: str
    ) -> Outcome:
        return self._call(key, Done("capture", reference, authorization, amount, _ok("cap", key)))

    def void(self, *, key: str, reference: str, authorization: str) -> Outcome:
        return self._call(key, Done("void", reference, authorization, Decimal(0), _ok("void", key)))

    def _rest(self, authorization: str) -> Decimal:
        """Return what is authorized, and neither captured nor voided."""
        held = self.books.get(authorization.partition(":")[2])
        if held is None:
            return Decimal(0)
        taken = [
            done.amount
            for done in self._of_reference.get(held.reference, ())
            if done.parent == authorization and done.outcome.kind in DONE
        ]
        return held.amount - sum(taken)

    def refund(self, *, key: str, reference: str, capture: str, amount: Decimal, currency: str) -> Outcome:
        return self._call(key, Done("refund", reference, capture, amount, _ok("ref", key)))

    def find(self, *, key: str, sent: object = None) -> Outcome | None:
        self._clock.sleep(0.01)
        if self._is_down():
            raise ProviderUnavailable("payments", "it is down")
        done = self.books.get(key)
        if self._finds_expiry and f"expiry:{key}" in self.books:
            return Outcome("declined", code=EXPIRED)
        return done.outcome if done else None

    def ledger(self) -> Iterator[LedgerLine]:
        raise NotImplementedError

    # --- What befalls a call ---

    def _call(self, key: str, done: Done) -> Outcome:
        dice = self._dice
        self._clock.sleep(0.01 + 0.04 * dice.random())
        if self._is_down():
            return _silence() if dice.random() < 0.3 else Outcome("not_sent", code="provider_unavailable")
        if dice.happens("not_sent"):
            return Outcome("not_sent", code="provider_unavailable")
        if dice.happens("unanswered_before"):
            return self._time_out()
        if dice.happens("arrives_late"):
            self._clock.at(self._clock.now + dice.uniform(1, 25), lambda: self._arrive(key, done))
            return self._time_out()
        outcome = self._do(key, done)
        return self._time_out() if dice.happens("unanswered_after") else outcome

    def _arrive(self, key: str, done: Done) -> None:
        """A call that its caller has given up is done after all."""
        self._do(key, done)

    def _time_out(self) -> Outcome:
        self._clock.sleep(self._dice.uniform(0.1, 3))
        return _silence()

    def _do(self, key: str, done: Done) -> Outcome:
        """Do it, unless it was done under this key already or the rules forbid it."""
        if first := self.books.get(key):
            return first.outcome
        refusal = self._refusal(done)
        if refusal == SUPPORT:  # a decision: it stands under this key
            done = replace(done, outcome=Outcome("declined", code=refusal))
        elif refusal:
            return Outcome("declined", code=refusal)
        if done.kind == "void":
            done = replace(done, amount=self._rest(done.parent))
        if done.kind == "authorize" and done.outcome.kind == "succeeded":
            self._expire_later(key, done)
        if done.outcome.kind == "succeeded" and self._dice.happens("undecided"):
            return self._leave_undecided(key, done)
        self.books[key] = done
        self._of_reference.setdefault(done.reference, []).append(done)
        if done.kind == "refund" and done.outcome.kind == "succeeded" and self._dice.happens("fails_later"):
            self._clock.at(self._clock.now + self._dice.uniform(1, 40), lambda: self._fail(key, done))
        return done.outcome

    def _leave_undecided(self, key: str, done: Done) -> Outcome:
        """It is decided later; the news of it may never come."""
        undecided = Outcome("pending", check_after=timedelta(seconds=self._dice.uniform(1, 10)))
        waiting = replace(done, outcome=undecided)
        self.books[key] = waiting
        self._of_reference.setdefault(done.reference, []).append(waiting)

        def decide() -> None:
            self._replace(key, waiting, done)
            if self._dice.random() < 0.5:
                self.on_news(key, done.outcome)

        self._clock.at(self._clock.now + self._dice.uniform(1, 40), decide)
        return undecided

    def _expire_later(self, key: str, held: Done) -> None:
        """The provider's clock is not the shop's: its news come before or after the shop's own decision."""
        if self.expires_after is None:
            return
        moment = self._clock.now + self.expires_after.total_seconds() * self._dice.uniform(0.8, 1.3)
        self.last_expiry = max(self.last_expiry, moment)
        self._clock.at(moment, lambda: self._expire(key, held))

    def _expire(self, key: str, held: Done) -> None:
        """Release what is neither captured nor voided. The news of it may never come."""
        authorization = held.outcome.provider_id
        rest = self._rest(authorization)
        if not rest:
            return
        expiry = Done("void", held.reference, authorization, rest, Outcome("succeeded", code=EXPIRED))
        self.books[f"expiry:{key}"] = expiry
        self._of_reference[held.reference].append(expiry)
        if self._dice.random() < 0.5:
            self.on_news(key, Outcome("declined", code=EXPIRED))

    def _replace(self, key: str, old: Done, new: Done) -> None:
        self.books[key] = new
        entries = self._of_reference[old.reference]
        entries[entries.index(old)] = new

    def _fail(self, key: str, done: Done) -> None:
        """What was refunded comes back: the customer's account is closed."""
        failed = replace(done, outcome=Outcome("declined", code="account_closed"))
        self._replace(key, done, failed)
        self.on_news(key, failed.outcome)

    def _refusal(self, done: Done) -> str:
        entries = self._of_reference.get(done.reference, ())
        taken = {
            other.kind
            for other in entries
            if other.parent and other.parent == done.parent and other.outcome.kind in DONE
        }
        if done.kind in ("capture", "void") and any(other.outcome.code == EXPIRED for other in entries):
            return EXPIRED if done.kind == "capture" else ""  # an expiry counts as voided
        if done.kind == "capture" and "void" in taken:
            return "authorization_voided"
        if done.kind == "capture" and done.amount > self._rest(done.parent):
            return "already_captured"
        if done.kind == "void" and taken and not self._rest(done.parent):
            return "already_voided" if "void" in taken else "already_captured"
        if done.kind in ("void", "refund") and self._dice.happens("refuses_return"):
            return SUPPORT
        # A second refund under another key is taken: a provider that refunds in parts cannot tell.
        return ""

    def _is_down(self) -> bool:
        return not self._dice.calm and self.down_from <= self._clock.now < self.down_until

    # --- The ledger ---

    def account(self, reference: str) -> Account:
        """Return what the provider has of one order."""
        account = Account()
        for done in self._of_reference.get(reference, ()):
            if done.outcome.kind == "succeeded":
                name = {
                    "authorize": "authorized",
                    "capture": "captured",
                    "refund": "refunded",
                    "void": "voided",
                }
                setattr(account, name[done.kind], getattr(account, name[done.kind]) + done.amount)
                account.captures += done.kind == "capture"
        return account


def _ok(prefix: str, key: str) -> Outcome:
    return Outcome("succeeded", provider_id=f"{prefix}:{key}")


def _silence() -> Outcome:
    return Outcome("unknown", code="no_answer")
