"""The API's description suits other people's tools: linters, generators of clients, readers."""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from django.conf import settings
from drf_spectacular.renderers import OpenApiJsonRenderer

from api import VERSION
from api.problems import Problem
from api.requests import read
from orders.http.requests import NewOrderRequest
from orders.rules.adjustments import DISCOUNT, KINDS
from tests.fixtures.described import closed, description, validator

# A folder whose node_modules/.bin has @redocly/cli, @stoplight/spectral-cli, openapi-typescript, typescript 5
# and @types/node.
TOOLS = Path(os.environ.get("NODE_TOOLS", str(settings.BASE_DIR)), "node_modules", ".bin")
STRICT = Path(__file__).parent / "strict_client.ts"
COMPILE = ["--strict", "--noEmit", "--skipLibCheck", "--target", "es2022", "--module", "esnext"]
COMPILE += ["--moduleResolution", "bundler"]


def operations():
    for path, methods in description()["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def tool(name):
    if not shutil.which("node"):
        pytest.skip("needs Node")
    if not (TOOLS / name).exists():
        pytest.skip(f"needs {name}: npm install it, and name the folder in NODE_TOOLS")
    return str(TOOLS / name)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("description") / "openapi.json"
    path.write_bytes(OpenApiJsonRenderer().render(description(), renderer_context={}))
    return path


def run(*command, cwd):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_its_version_is_that_of_the_package():
    project = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())["project"]

    assert description()["info"]["version"] == project["version"] == VERSION


def test_every_operation_has_a_summary_and_a_name_of_its_own():
    names = [operation["operationId"] for _, operation in operations()]

    assert len(set(names)) == len(names)
    assert [where for where, operation in operations() if not operation.get("summary")] == []


def test_every_answer_has_an_example_that_its_schema_allows():
    for where, operation in operations():
        for status, answer in operation["responses"].items():
            for media_type, content in answer.get("content", {}).items():
                examples = [each["value"] for each in content.get("examples", {}).values()]
                examples += [content["example"]] if "example" in content else []
                assert examples, f"{where} {status} {media_type}"
                for example in examples:
                    wrong = [error.message for error in validator(content["schema"]).iter_errors(example)]
                    assert not wrong, f"{where} {status}: {wrong}"


def test_customers_operations_come_first_and_staffs_are_apart():
    tags = [tag["name"] for tag in description()["tags"]]
    first = next(iter(description()["paths"]))

    assert (tags[0], first) == ("orders", "/api/orders")
    assert [name for name in tags if "staff" in name] == tags[-sum("staff" in name for name in tags) :]
    for where, operation in operations():
        is_for_staff = "(staff)" in operation["summary"] or "(demo only)" in operation["summary"]
        assert operation["tags"][0].endswith("(staff)") == is_for_staff, where


def test_no_schema_has_a_choice_beside_properties_or_a_title():
    for name, schema in description()["components"]["schemas"].items():
        assert not ({"anyOf", "oneOf", "allOf"} & schema.keys() and "properties" in schema), name
        assert "title" not in schema, name


@pytest.mark.parametrize(
    ("order", "is_good"),
    [
        ({"customerName": "A", "items": [{"sku": "A", "quantity": 1}]}, True),
        ({"customerId": 7, "items": [{"productId": 1, "quantity": 1}], "payment": {}}, True),
        ({"customerName": "A"}, False),
        ({"customerName": " ", "items": [{"sku": "A", "quantity": 1}]}, False),
        ({"customerName": "A", "items": [{"sku": "A"}]}, False),
        ({"customerName": "A", "items": [{"quantity": 1}]}, False),
        ({"items": [{"sku": "A", "quantity": 1}]}, False),
    ],
)
def test_its_orders_are_those_that_the_server_takes(order, is_good):
    assert validator(closed({"$ref": "#/components/schemas/NewOrderRequest"})).is_valid(order) == is_good


@pytest.mark.parametrize(
    ("kind", "amount", "is_good"),
    [
        ("discount", -5, True),
        ("discount", 5, False),
        *((kind, amount, amount >= 0) for kind in KINDS if kind != DISCOUNT for amount in (-5, 0, 5)),
    ],
)
def test_its_adjustments_have_the_signs_that_the_server_takes(kind, amount, is_good):
    adjustment = {"kind": kind, "code": "X", "amount": amount}
    order = {"customerName": "A", "items": [{"sku": "A", "quantity": 1}], "adjustments": [adjustment]}

    assert validator(closed({"$ref": "#/components/schemas/NewOrderRequest"})).is_valid(order) == is_good
    try:
        taken = bool(read(order, NewOrderRequest))
    except Problem:
        taken = False
    assert taken == is_good


def test_redocly_finds_no_error(written):
    run(tool("redocly"), "lint", "--extends=recommended", str(written), cwd=written.parent)


def test_spectral_finds_no_error(written):
    (written.parent / ".spectral.yaml").write_text('extends: ["spectral:oas"]\n')
    run(
        tool("spectral"),
        "lint",
        str(written),
        "-r",
        ".spectral.yaml",
        "--fail-severity=error",
        cwd=written.parent,
    )


def test_types_made_from_it_refuse_what_the_server_refuses(written):
    run(tool("openapi-typescript"), str(written), "-o", "api.d.ts", cwd=written.parent)
    shutil.copy(STRICT, written.parent / "strict.ts")
    run(tool("tsc"), *COMPILE, "strict.ts", cwd=written.parent)


def test_the_typescript_examples_are_well_typed():
    types = ["--types", "node", "--typeRoots", str(TOOLS.parent / "@types"), "--lib", "es2022,dom"]
    examples = sorted(map(str, (settings.BASE_DIR / "examples").glob("*.ts")))
    run(tool("tsc"), *COMPILE, *types, "--erasableSyntaxOnly", *examples, cwd=TOOLS.parent)
