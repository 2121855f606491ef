"""What `make attack` counts. The campaign itself takes longer than a test may."""

import asyncio
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User

from attacks import kinds
from attacks.campaign import BAR_SECONDS, Result
from attacks.honest import Honest, Order, Seen
from attacks.scene import ATTACKS
from tests.factories import make_token, make_user
from tests.security.conftest import shop  # noqa: F401 - a fixture
from tests.security.web_process import WebProcess

assert kinds  # entering the attacks is what it is imported for
ANY = next(iter(ATTACKS.values()))
SKU = "SKU-1"


@pytest.fixture(scope="module")
def web(django_db_setup, django_db_blocker) -> Iterator[WebProcess]:
    with django_db_blocker.unblock():
        process = WebProcess().start()
    yield process
    process.stop()


@pytest.fixture
def honest(shop) -> User:  # noqa: F811
    return make_user()


def sees(web: WebProcess, user: User, *, sku: str, at_least: int = 5) -> Seen:
    """Return what an honest user saw until that number of orders was answered."""
    person = Honest(Order(port=web.port, token=make_token(user), sku=sku, seed="1", rate=20))

    async def order() -> Seen:
        over = asyncio.Event()
        running = asyncio.create_task(person.run(over))
        while len(person.seen.seconds) < at_least:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        over.set()
        return await running

    return asyncio.run(order())


@pytest.mark.django_db(transaction=True)
def test_an_honest_user_notes_every_order_and_how_long_its_answer_took(web, honest):
    seen = sees(web, honest, sku=SKU)
    assert len(seen.placed) == len(seen.seconds) >= 5
    assert (seen.refused, seen.reads_refused) == ([], [])
    assert seen.reads
    assert seen.seconds == sorted(seen.seconds)


@pytest.mark.django_db(transaction=True)
def test_an_honest_user_notes_what_a_refused_order_was_answered(web, honest):
    seen = sees(web, honest, sku="NO-SUCH-PRODUCT")
    assert seen.placed == []
    assert all(refusal.startswith("400") and "unknown_product" in refusal for refusal in seen.refused)


@pytest.mark.parametrize(
    "found",
    [
        {"seen": Seen(refused=["429"])},
        {"lost": [(1, "rejected")]},
        {"violations": ["a pickle was loaded"]},
    ],
)
def test_a_refused_order_a_lost_one_and_a_violation_fail_an_attack(found):
    assert Result(ANY, seen=Seen(placed=[1])).is_good
    assert not Result(ANY, **found).is_good


def test_a_slow_hundredth_is_over_the_bar():
    quick = [0.1] * 99
    assert not Result(ANY, seen=Seen(seconds=[*quick, 0.1])).is_over_bar
    assert Result(ANY, seen=Seen(seconds=[*quick, BAR_SECONDS + 1])).is_over_bar


def test_an_attack_without_honest_orders_is_not_good():
    assert not Result(ANY).is_good
