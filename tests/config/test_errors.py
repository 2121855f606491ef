"""Errors have one shape, wherever they are raised, and disclose nothing internal."""

import io
import re
from decimal import Decimal

import psycopg
import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import InterfaceError, OperationalError, connection
from django.test import Client, RequestFactory
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.test import APIClient, APIRequestFactory
from rest_framework.views import APIView

from config import errors
from launcher.engines import free_port
from orders.placing.pricing import AmountTooLarge
from providers.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from tests.fixtures.described import description
from tests.orders.conftest import alice, an_order, as_alice, client_of, shop, unlimited  # noqa: F401
from tests.orders.test_api_bad_input import BAD_BODIES, BAD_FIELDS


def answer_to_raising(error):
    """Return what a client gets when a view raises this."""

    class Broken(APIView):
        authentication_classes = []
        permission_classes = [AllowAny]
        throttle_classes = []

        def get(self, request):
            raise error

    return Broken.as_view()(APIRequestFactory().get("/api/broken")).render()


def error_of(response):
    """Return the error in a response, having looked at its shape."""
    body = response.json() if hasattr(response, "json") else response.data
    assert list(body) == ["error"]
    assert {"code", "message"} <= set(body["error"]) <= {"code", "message", "field", "details"}
    return body["error"]


@pytest.mark.parametrize("path", ["/api/nothing", "/api/ordrs", "/api/orders/1/proces"])
def test_a_post_to_a_mistyped_path_is_told_that_nothing_is_there(path):
    response = Client(enforce_csrf_checks=True).post(path, "{}", content_type="application/json")

    assert (response.status_code, error_of(response)["code"]) == (404, "not_found")


# --- What views raise -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (AmountTooLarge(maximum=Decimal(1)), 400, "too_large"),
        (RuntimeError("secret"), 500, "internal_error"),
        (OperationalError("secret"), 503, "temporarily_unavailable"),
        (InterfaceError("secret"), 503, "temporarily_unavailable"),
        (ProviderUnavailable("inventory", "secret"), 503, "provider_unavailable"),
        (OutcomeUnknown("payments", "secret"), 502, "provider_failed"),
        (ProviderRefused("payments", 400, "x", "secret"), 502, "provider_failed"),
    ],
)
def test_what_went_wrong_inside_stays_inside(error, status, code):
    response = answer_to_raising(error)

    assert (response.status_code, error_of(response)["code"]) == (status, code)
    assert b"secret" not in response.content
    assert (status == 503) == response.has_header("Retry-After")


def test_a_serializers_complaints_are_listed_with_their_paths():
    class LineSerializer(serializers.Serializer):
        quantity = serializers.IntegerField(min_value=1)

    class OrderSerializer(serializers.Serializer):
        name = serializers.CharField()
        lines = LineSerializer(many=True)

    broken = OrderSerializer(data={"lines": [{"quantity": 1}, {"quantity": 0}]})
    broken.is_valid()

    error = error_of(answer_to_raising(serializers.ValidationError(broken.errors)))

    assert (error["code"], error["field"]) == ("required", "name")
    assert [(detail["code"], detail["field"]) for detail in error["details"]] == [
        ("required", "name"),
        ("too_small", "lines[1].quantity"),
    ]


# --- What happens before and around views -------------------------------------------------------------------


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(
    "path", ["/api/nothing", "/api/ordrs/", "/api/orders/1/explode", "/api/inventory/1/2/3/4"]
)
def test_an_address_that_leads_nowhere(db, settings, debug, path):
    settings.DEBUG = debug

    response = Client().get(path)

    assert (response.status_code, error_of(response)["code"]) == (404, "not_found")


def test_a_method_that_an_address_does_not_have(as_alice):  # noqa: F811
    response = as_alice.delete("/api/orders")

    assert (response.status_code, error_of(response)["code"]) == (405, "method_not_allowed")
    assert "POST" in response["Allow"]


def test_a_media_type_that_we_do_not_speak(as_alice):  # noqa: F811
    response = as_alice.get("/api/orders", headers={"Accept": "application/xml"})

    assert (response.status_code, error_of(response)["code"]) == (406, "not_acceptable")


@pytest.mark.parametrize("accept", ["application/problem+json", "application/vnd.api+json, */*;q=0"])
def test_who_asks_for_a_kind_of_json_gets_ours(as_alice, accept):  # noqa: F811
    response = as_alice.get("/api/orders", headers={"Accept": accept})

    assert (response.status_code, response["Content-Type"]) == (200, "application/json")


def test_djangos_own_handlers_speak_json_under_api(rf: RequestFactory):
    request = rf.get("/api/orders")

    for response, status in [
        (errors.bad_request(request, Exception("secret")), 400),
        (errors.permission_denied(request, Exception("secret")), 403),
        (errors.not_found(request, Exception("secret")), 404),
        (errors.csrf_failed(request, "secret"), 403),
        (errors.server_error(request), 500),
    ]:
        assert response.status_code == status
        assert response["Content-Type"] == "application/json"
        assert b'{"error":{"code":' in response.content
        assert b"secret" not in response.content


def test_elsewhere_djangos_handlers_speak_html(db, rf: RequestFactory):
    response = errors.not_found(rf.get("/nothing"), Exception())

    assert (response.status_code, response["Content-Type"][:9]) == (404, "text/html")


def test_an_address_outside_the_api_answers_503_while_the_database_is_away(rf: RequestFactory):
    def failing():
        try:
            raise OperationalError
        except OperationalError:
            return errors.server_error(rf.get("/admin/"))

    response = failing()

    assert (response.status_code, response["Retry-After"]) == (503, "1")


# --- The database -----------------------------------------------------------------------------------------


@pytest.fixture
def database_away():
    """The database is at an address without a server."""
    connection.close()
    there = connection.settings_dict["PORT"]
    connection.settings_dict["PORT"] = free_port()
    yield
    connection.close()
    connection.settings_dict["PORT"] = there


@pytest.mark.django_db(transaction=True)
def test_placing_an_order_while_the_database_is_away(unlimited, database_away):  # noqa: F811
    response = client_of(User(pk=1, username="alice")).post("/api/orders", an_order())

    assert (response.status_code, error_of(response)["code"]) == (503, "temporarily_unavailable")
    assert response["Retry-After"] == "1"


@pytest.mark.django_db(transaction=True)
def test_placing_an_order_while_its_table_is_locked(as_alice):  # noqa: F811
    with psycopg.connect(**connection_parameters()) as other:
        other.execute("LOCK TABLE orders_order")
        response = as_alice.post("/api/orders", an_order())

    assert (response.status_code, error_of(response)["code"]) == (503, "temporarily_unavailable")
    assert as_alice.post("/api/orders", an_order()).status_code == 201


def connection_parameters():
    parameters = connection.settings_dict
    return {
        "host": parameters["HOST"],
        "port": parameters["PORT"],
        "user": parameters["USER"],
        "password": parameters["PASSWORD"],
        "dbname": parameters["NAME"],
    }


# --- The description --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def schema():
    return description()


def test_the_description_is_valid_and_nothing_in_it_is_guessed():
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=io.StringIO())


def test_it_lists_every_code_that_placing_an_order_may_be_refused_with(schema):
    told = set(
        re.findall(r"`(\w+)`", schema["paths"]["/api/orders"]["post"]["responses"]["400"]["description"])
    )

    assert {code for _, code, _ in BAD_FIELDS} | {code for _, code in BAD_BODIES} <= told


@pytest.mark.parametrize("status", ["401", "403", "406", "413", "415", "429", "500", "503"])
def test_it_lists_what_any_post_may_be_refused_with(schema, status):
    for path, operations in schema["paths"].items():
        if "post" in operations:
            answer = operations["post"]["responses"][status]["content"]["application/json"]["schema"]
            assert answer == {"$ref": "#/components/schemas/Error"}, path


def test_it_says_that_money_is_a_number(schema):
    order = schema["components"]["schemas"]["OrderDetail"]["properties"]

    assert order["goodsAmount"] == {"type": "number"}


def test_it_has_the_manuals_examples(schema):
    examples = schema["paths"]["/api/orders"]["post"]["requestBody"]["content"]["application/json"][
        "examples"
    ]

    assert [list(example["value"]) for example in examples.values()] == [
        ["customerId", "items"],
        ["customerName", "items"],
        ["customerName", "items", "adjustments"],
    ]


@pytest.mark.parametrize("path", ["/swagger", "/redoc", "/api", "/api/schema"])
def test_the_ways_in_are_open_and_load_nothing_from_elsewhere(db, path):
    page = APIClient().get(path, headers={"Accept": "*/*"})

    assert page.status_code == 200
    assert not re.findall(r'(?:src|href)="(?:https?:)?//(?!testserver)', page.content.decode())
