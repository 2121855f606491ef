"""What compares answers with the API's description finds what is not in it."""

import json

import pytest
from django.http import HttpResponse

from tests.fixtures.described import compare

TOLD = {"token": "t", "id": 1, "name": "", "expiresAt": None}


def answer(fields: object, *, status: int = 200, media_type: str = "application/json") -> HttpResponse:
    return HttpResponse(json.dumps(fields), status=status, content_type=media_type)


def test_an_answer_as_described_is_let_through():
    compare("POST", "/api/token", answer(TOLD))


@pytest.mark.parametrize(
    ("different", "complaint"),
    [
        (answer(TOLD, status=418), "which its description does not have"),
        (answer(TOLD, media_type="text/plain"), "described as"),
        (answer({"id": 1, "name": "", "expiresAt": None}), "'token' is a required property"),
        (answer(TOLD | {"token": 1}), "1 is not of type 'string'"),
        (answer(TOLD | {"secret": "s"}), "'secret' was unexpected"),
    ],
)
def test_one_that_is_not_is_found(different, complaint):
    with pytest.raises(AssertionError, match=complaint):
        compare("POST", "/api/token", different)


def test_what_is_not_described_and_pages_for_people_are_let_through():
    compare("GET", "/metrics", answer({}))
    compare("POST", "/api/token", answer("<html>", media_type="text/html; charset=utf-8"))
