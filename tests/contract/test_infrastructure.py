"""``infra/``: its files fit their schemas, name each other, ask for few rights, and hold no secret."""

from __future__ import annotations

import configparser
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from walt.core.config import read_yaml

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
KUBERNETES = sorted((INFRA / "kubernetes").glob("*.yaml"))
COMPOSE = INFRA / "docker/compose.yaml"
VERSION = "1.34"
SECRETS = (
    "POSTGRES_PASSWORD", "PREFECT_DB_PASSWORD", "MLFLOW_DB_PASSWORD", "PGPASSWORD", "PREFECT_API_AUTH_STRING",
    "PREFECT_SERVER_API_AUTH_STRING", "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY",
    "MLFLOW_TRACKING_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "RAY_AUTH_TOKEN",
)  # fmt: skip
"""Variables that hold them."""


def _documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in YAML(typ="safe", pure=True).load_all(path.read_text()) if document]


def _all(found: Any, key: str) -> Iterator[Any]:
    """The values of a key, wherever it stands."""
    if isinstance(found, dict):
        for name, value in found.items():
            if name == key:
                yield value
            yield from _all(value, key)
    elif isinstance(found, list):
        for value in found:
            yield from _all(value, key)


MANIFESTS = [(path, document) for path in KUBERNETES for document in _documents(path)]
NAMES = [f"{path.stem}-{document['kind']}" for path, document in MANIFESTS]


@pytest.mark.parametrize("path", sorted(INFRA.rglob("*.yaml")), ids=lambda path: path.relative_to(INFRA).as_posix())
def test_every_file_is_yaml(path: Path) -> None:
    assert _documents(path)


@pytest.mark.parametrize("manifest", [document for _, document in MANIFESTS], ids=NAMES)
def test_manifests_fit_the_schemas_of_kubernetes(manifest: dict[str, Any]) -> None:
    """Of a kind that Kubernetes does not bring, the templates of its pods."""
    schemas = pytest.importorskip("kubernetes_validate", reason="make install brings kubernetes-validate")
    if manifest["kind"] == "RayCluster":
        templates = list(_all(manifest, "template"))
        assert len(templates) == 2
        for template in templates:
            pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "pod"}, "template": template}
            schemas.validate(pod, VERSION, strict=True)
        return
    schemas.validate(manifest, VERSION, strict=True)
    misspelt = {**manifest, "metadta": {}}
    with pytest.raises(schemas.ValidationError):
        schemas.validate(misspelt, VERSION, strict=True)


@pytest.mark.parametrize("manifest", [document for _, document in MANIFESTS], ids=NAMES)
def test_no_pod_has_more_rights_than_it_needs(manifest: dict[str, Any]) -> None:
    for template in [*_all(manifest, "template")]:
        pod = template["spec"]
        if "containers" not in pod:
            continue
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }


def test_secrets_are_references_and_the_readme_says_how_to_make_each() -> None:
    text = (INFRA / "README.md").read_text(encoding="utf-8")
    made = {
        name: set(re.findall(r"--from-literal=(\w+)=|--from-env-file=(\S+)", options))
        for name, options in re.findall(r"create secret generic (\S+)((?: \\\n +| )--[^\n]*(?:\\\n[^\n]*)*)", text)
    }
    named = [reference for _, manifest in MANIFESTS for reference in _all(manifest, "secretKeyRef")]
    assert named
    for reference in named:
        assert (reference["key"], "") in made[reference["name"]], reference
    for whole in [reference for _, manifest in MANIFESTS for reference in _all(manifest, "secretRef")]:
        assert made[whole["name"]]
    for _, manifest in MANIFESTS:
        for variable in [one for variables in _all(manifest, "env") for one in variables]:
            assert variable["name"] not in SECRETS or "valueFrom" in variable, variable["name"]
    assert not [manifest for _, manifest in MANIFESTS if manifest["kind"] == "Secret"]


def test_claims_configurations_and_resources_are_there() -> None:
    whole = read_yaml(INFRA / "kustomization.yaml")
    for resource in whole["resources"]:
        assert (INFRA / resource).is_file(), resource
    left_out = {path.name for path in KUBERNETES} - {Path(resource).name for resource in whole["resources"]}
    assert left_out == {"job.yaml", "ray-cluster.yaml"}
    configurations = {made["name"] for made in whole["configMapGenerator"]}
    assert all((INFRA / file).is_file() for made in whole["configMapGenerator"] for file in made["files"])
    claims = {document["metadata"]["name"] for _, document in MANIFESTS if document["kind"] == "PersistentVolumeClaim"}
    for _, manifest in MANIFESTS:
        assert {claim["claimName"] for claim in _all(manifest, "persistentVolumeClaim")} <= claims
        assert {one["name"] for one in _all(manifest, "configMap")} <= configurations


def test_the_cluster_uses_the_pinned_ray() -> None:
    pinned = re.search(r"^ray==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    [cluster] = _documents(INFRA / "kubernetes/ray-cluster.yaml")
    assert cluster["spec"]["rayVersion"] == pinned.group(1)


def test_compose_fits_its_specification() -> None:
    models = pytest.importorskip("compose_spec.models", reason="make install brings compose-spec")
    given = read_yaml(COMPOSE)
    read = models.ComposeSpecification.model_validate(given)
    assert not list(_unknown(read, given, "compose.yaml"))
    given["services"]["worker"]["portss"] = []
    assert list(_unknown(models.ComposeSpecification.model_validate(given), given, "")) == [".services.worker.portss"]
    given["services"]["worker"]["depends_on"] = {"mlflow": {"condition": "service_halthy"}}
    with pytest.raises(ValueError, match="depends_on"):
        models.ComposeSpecification.model_validate(given)


def _unknown(read: Any, given: Any, where: str) -> Iterator[str]:
    """What is written and was not understood; names that begin with ``x-`` are the writer's own."""
    if isinstance(read, BaseModel):
        fields = {field.alias or name: getattr(read, name) for name, field in type(read).model_fields.items()}
        for key, value in given.items():
            if key in fields:
                yield from _unknown(fields[key], value, f"{where}.{key}")
            elif not key.startswith("x-"):
                yield f"{where}.{key}"
    elif isinstance(read, dict):
        for key, value in given.items():
            yield from _unknown(read[key], value, f"{where}.{key}")


def test_the_compose_services_name_each_other() -> None:
    services = read_yaml(COMPOSE)["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        for address in re.findall(r"https?://([\w-]+):\d+", json.dumps(service.get("environment", {}))):
            assert address in {*services, "localhost"}
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert not source.startswith(".") or (COMPOSE.parent / source).exists(), volume


def test_compose_takes_each_secret_from_the_file_beside_it() -> None:
    example = (INFRA / "docker/secrets.example.env").read_text(encoding="utf-8")
    names = set(re.findall(r"^(\w+)=", example, re.MULTILINE))
    assert set(re.findall(r"\$\{(\w+)", COMPOSE.read_text(encoding="utf-8"))) == names
    for service in read_yaml(COMPOSE)["services"].values():
        for name, value in service.get("environment", {}).items():
            assert name not in SECRETS or re.fullmatch(r"\$\{\w+:\?see secrets.example.env\}", value), name
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert not re.search(r"^\w*(?:PASSWORD|KEY|SECRET|LOGIN)\w*=\S", example, re.MULTILINE)


def test_images_are_pinned() -> None:
    images = {image for _, manifest in MANIFESTS for image in _all(manifest, "image")}
    images |= set(_all(read_yaml(COMPOSE), "image"))
    ours = {"walt", "walt-cuda"}  # kustomization.yaml gives them their tags
    assert {image["name"] for image in read_yaml(INFRA / "kustomization.yaml")["images"]} == ours
    for image in images - ours:
        assert re.fullmatch(r"walt:(cpu|cuda)|[\w./-]+:\d+\.\d+(\.\d+)?-\w+", image), image


def test_the_image_is_of_named_files_and_runs_as_nobody_in_particular() -> None:
    dockerfile = (INFRA / "docker/Dockerfile").read_text()
    assert re.search(r"^FROM python:3\.\d+\.\d+-slim-\w+$", dockerfile, re.MULTILINE)
    assert re.findall(r"^USER (\S+)$", dockerfile, re.MULTILINE) == ["10001:10001"]
    assert not re.search(r"^(?:ADD|COPY) .*(?:\.env|\s\.\s)", dockerfile, re.MULTILINE)
    ignored = (INFRA / "docker/Dockerfile.dockerignore").read_text().splitlines()
    sent = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored
    copied = {source for line in re.findall(r"^COPY (.+)$", dockerfile, re.MULTILINE) for source in line.split()[:-1]}
    assert sent == copied
    for source in copied:
        assert (ROOT / source).exists(), f"COPY {source}"
    extras = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    [wanted] = re.findall(r"-e '\.\[([\w,]+)\]'", dockerfile)
    assert all(re.search(rf"^{extra} = ", extras, re.MULTILINE) for extra in wanted.split(","))


@pytest.mark.parametrize("path", sorted((INFRA / "s3").glob("*.json")), ids=lambda path: path.stem)
def test_policies_name_actions_and_prefixes(path: Path) -> None:
    """That the pipeline works with no more, and uses all of it, is for infra/services to show."""
    for statement in json.loads(path.read_text(encoding="utf-8"))["Statement"]:
        assert statement["Effect"] == "Allow"
        assert not [action for action in statement["Action"] if "*" in action]
        for resource in statement["Resource"]:
            prefix = resource.removeprefix("arn:aws:s3:::BUCKET")
            assert prefix != resource
            assert (prefix == "") == (statement["Action"] == ["s3:ListBucket"])
            assert re.fullmatch(r"|/[a-z]+|/[a-z]+/\*", prefix), resource


def test_mlflows_settings_hold_no_password() -> None:
    settings = configparser.ConfigParser()
    settings.read(INFRA / "mlflow/basic_auth.ini")
    assert settings["mlflow"]["database_uri"] == "postgresql:///mlflow_users"
    assert settings["mlflow"]["default_permission"] == "NO_PERMISSIONS"
    assert "admin_password" not in settings["mlflow"]
