"""The Kubernetes manifests fit the schemas, name what exists, and run every process of the Procfile."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from launcher.procfile import PROCFILE, parse

FOLDER = Path(__file__).parent.parent.parent / "deploy" / "kubernetes"
# Of operators, whose schemas no package publishes.
CUSTOM = {"Cluster", "ScaledObject", "Kustomization"}
VERSIONS = ("1.31", "1.37")
# The sandbox plays the providers, the ingress is the proxy, Flower is optional.
NOT_DEPLOYED = {"sandbox", "proxy", "flower"}


def documents() -> list[dict[str, Any]]:
    named = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    return [document for name in named for document in yaml.safe_load_all((FOLDER / name).read_text())]


DOCUMENTS = documents()
PODS = [document for document in DOCUMENTS if "template" in document.get("spec", {})]


def name_of(document: dict[str, Any]) -> str:
    return f"{document['kind']}-{document['metadata']['name']}"


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [document for document in DOCUMENTS if document["kind"] == kind]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", [d for d in DOCUMENTS if d["kind"] not in CUSTOM], ids=name_of)
def test_each_fits_its_schema(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def test_every_manifest_is_applied() -> None:
    named = set(yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"])
    assert named == {file.name for file in FOLDER.glob("*.yaml")} - {"kustomization.yaml", "nats-values.yaml"}


def test_every_process_is_deployed() -> None:
    deployed = {pod["spec"]["template"]["spec"]["containers"][0]["name"] for pod in of_kind("Deployment")}
    assert deployed - {"relay"} == {entry.name for entry in parse(PROCFILE.read_text())} - NOT_DEPLOYED - {
        "relay"
    }


@pytest.mark.parametrize("kind", ["PodDisruptionBudget", "Service"])
def test_each_selects_pods_that_exist(kind: str) -> None:
    labels = {pod["spec"]["template"]["metadata"]["labels"]["app"] for pod in PODS}
    for document in of_kind(kind):
        selector = document["spec"]["selector"]
        expressions = selector.get("matchExpressions", [{"values": []}])[0]["values"]
        wanted = {*expressions, *filter(None, [(selector.get("matchLabels") or selector).get("app")])}
        assert wanted
        assert wanted <= labels, name_of(document)


def test_workers_are_scaled_by_what_is_due_and_each_scaler_has_its_workers() -> None:
    deployed = {document["metadata"]["name"] for document in of_kind("Deployment")}
    for document in of_kind("ScaledObject"):
        assert document["spec"]["scaleTargetRef"]["name"] in deployed
        (trigger,) = document["spec"]["triggers"]
        assert "due_at <= now()" in trigger["metadata"]["query"]
    assert len(of_kind("ScaledObject")) == 5


@pytest.mark.parametrize("document", PODS, ids=name_of)
def test_no_pod_has_privileges(document: dict[str, Any]) -> None:
    pod = document["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    for container in pod["containers"]:
        context = container["securityContext"]
        assert (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]) == (False, True)
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]


def test_a_commit_needs_two_copies_of_the_database() -> None:
    (database,) = of_kind("Cluster")
    assert database["spec"]["instances"] == 3
    assert database["spec"]["postgresql"]["synchronous"] == {
        "method": "any",
        "number": 1,
        "dataDurability": "required",
    }


def test_static_files_are_those_of_the_image() -> None:
    """They are below DATA_DIR, which the image sets."""
    configuration = yaml.safe_load((FOLDER / "configuration.yaml").read_text())
    assert "DATA_DIR" not in configuration["data"]
