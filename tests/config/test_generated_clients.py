"""A client that openapi-generator makes of the description places, reads and cancels orders, and reads refusals."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission
from drf_spectacular.renderers import OpenApiJsonRenderer

from orders.models import Order
from tests.factories import make_product, make_shipping, make_token, make_user
from tests.fixtures.described import description

BUYER = Path(__file__).parent / "generated_buyer.py"
# Of PyPI's or npm's openapi-generator-cli; it needs Java, and its Python clients need pydantic.
GENERATOR = shutil.which("openapi-generator-cli", path=os.environ.get("GENERATOR_PATH") or os.environ["PATH"])

pytestmark = pytest.mark.skipif(not GENERATOR, reason="needs openapi-generator-cli in PATH or GENERATOR_PATH")


@pytest.fixture
def generated(tmp_path):
    document = tmp_path / "openapi.json"
    document.write_bytes(OpenApiJsonRenderer().render(description(), renderer_context={}))
    run(str(GENERATOR), "validate", "-i", str(document))
    run(str(GENERATOR), "generate", "-i", str(document), "-g", "python", "-o", str(tmp_path / "client"))
    return tmp_path / "client"


def run(*command, **variables):
    done = subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout.split()


def test_it_places_reads_and_cancels(generated, transactional_db, settings, live_server):
    pytest.importorskip("pydantic")
    settings.THROTTLE_RATES = dict.fromkeys(settings.THROTTLE_RATES, "off")
    make_shipping(price="4.99")
    sku = make_product(price="10.00").sku
    buyer = make_user()
    buyer.user_permissions.add(Permission.objects.get(codename="price_order"))
    variables = {"PYTHONPATH": str(generated), "API_URL": live_server.url, "TOKEN": make_token(buyer)}

    said = run(sys.executable, str(BUYER), sku, **variables)

    assert said == [Order.objects.get().number, "21.99", "order_placed", "Cancelled", "404"]
