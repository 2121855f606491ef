"""Whatever can be generated from the API's description is answered as described, and never with a 5xx.

A selection each time; `make fuzz REQUESTS=20000 SEED=1` for as many as one likes, with every kind of case.
"""

import os
from collections.abc import Callable

import pytest
import requests
from django.contrib.auth.models import User

from tests.factories import make_user
from tests.security import generated
from tests.security.conftest import make_operator, token_of

PEOPLE: dict[str, Callable[[], User]] = {"customer": make_user, "staff": make_operator}
REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "0"))  # 0: the selection
SEED = int(os.environ.get("FUZZ_SEED", "1"))


@pytest.mark.parametrize("who", ["customer", "staff", "nobody"])
def test_whatever_is_generated_is_answered_as_described(webs, shop, who):
    web, _ = webs
    description = requests.get(f"{web.url}/api/schema?format=json", timeout=30).json()
    found = generated.Found()
    for plan in generated.plans(at_least=REQUESTS // 3, seed=SEED, so_far=found):
        # A new user each time: an account's keys are used up.
        headers = token_of(PEOPLE[who]()) if who in PEOPLE else {}
        found.add(generated.run(description, url=web.url, headers=headers, plan=plan))

    print(f"\n{who}: {found.requests} requests from seed {SEED}, {found.told}")  # noqa: T201 - for `make fuzz`
    assert not found.failures, "\n\n".join([f"{len(found.failures)} from seed {SEED}", *found.failures])
    assert max(found.statuses) < 500
