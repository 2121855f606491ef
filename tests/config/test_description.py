"""The API's description is put together once in a process, for each format."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from config import description


@pytest.fixture
def built(monkeypatch):
    """Nothing is kept yet; every time that the description is put together is noted."""
    monkeypatch.setattr(description, "_rendered", {})
    times, build = [], SchemaGenerator.get_schema

    def get_schema(*args, **kwargs):
        times.append(1)
        return build(*args, **kwargs)

    monkeypatch.setattr(description.Schema.generator_class, "get_schema", get_schema)
    return times


def test_it_is_put_together_once_for_each_format(built, db):
    answers = [Client().get(f"/api/schema?format={kind}") for kind in ("json", "yaml", "json", "yaml")]
    assert len(built) == 2
    assert answers[0].content == answers[2].content != answers[1].content == answers[3].content
    assert json.loads(answers[0].content)["paths"]["/api/orders"]
    assert answers[1]["Content-Type"].startswith("application/vnd.oai.openapi")


def test_a_refusal_is_not_taken_for_it(built, db):
    refused = Client().post("/api/schema?format=json")
    assert (refused.status_code, refused.json()["error"]["code"]) == (405, "method_not_allowed")
    assert not built


def test_threads_that_ask_first_at_once_have_it_put_together_once(built, db):
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: Client().get("/api/schema?format=json"), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(built) == 1
