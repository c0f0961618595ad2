"""``prefect.yaml`` and the infrastructure files say what the code says."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from flows.deployments import DEPLOYMENTS, ENTRYPOINT, DeploymentSpec
from walt.core.config import read_yaml
from walt.project.registry import STAGE_NAMES

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"


def _documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in YAML(typ="safe", pure=True).load_all(path.read_text()) if document]


def _spec(entry: dict[str, Any]) -> DeploymentSpec:
    schedules = entry.get("schedules", [])
    assert len(schedules) <= 1
    assert all(schedule["timezone"] == "UTC" for schedule in schedules)
    cron = schedules[0]["cron"] if schedules else None
    return DeploymentSpec(entry["name"], entry["description"], cron=cron, **entry["parameters"])


def test_prefect_yaml_declares_the_deployments_that_are_served() -> None:
    declared = read_yaml(ROOT / "prefect.yaml")["deployments"]
    assert tuple(_spec(entry) for entry in declared) == DEPLOYMENTS
    assert {entry["entrypoint"] for entry in declared} == {ENTRYPOINT}


def test_the_version_is_the_one_that_is_installed() -> None:
    constraints = (ROOT / "constraints.txt").read_text()
    pinned = re.search(r"^prefect==(\S+)", constraints, re.MULTILINE)
    assert pinned is not None
    assert read_yaml(ROOT / "prefect.yaml")["prefect-version"] == pinned.group(1)


def test_the_entry_point_is_the_flow_called_walt() -> None:
    module, _, name = ENTRYPOINT.rpartition(".")
    flow = getattr(importlib.import_module(module), name)
    assert flow.name == "walt"
    assert not flow.persist_result, "a result of Prefect's would be a second opinion on what is fresh"


def test_deployments_bring_known_stages_up_to_date() -> None:
    assert {spec.target for spec in DEPLOYMENTS} <= set(STAGE_NAMES)
    trained = {"train-base", "finetune-aspect", "train-sr-2x", "train-sr-4x"}
    named = {"ingest", *trained, "evaluate", "all", "retrain"}
    assert {spec.name for spec in DEPLOYMENTS} == named
    assert [spec.name for spec in DEPLOYMENTS if spec.cron or spec.promote] == ["retrain"]


@pytest.mark.parametrize("path", sorted(INFRA.rglob("*.yaml")), ids=lambda path: path.relative_to(INFRA).as_posix())
def test_infrastructure_files_are_yaml(path: Path) -> None:
    assert _documents(path)


@pytest.mark.parametrize("path", sorted((INFRA / "kubernetes").glob("*.yaml")), ids=lambda path: path.name)
def test_kubernetes_manifests_have_what_every_object_needs(path: Path) -> None:
    for manifest in _documents(path):
        assert {"apiVersion", "kind", "metadata"} <= manifest.keys()
        assert manifest["metadata"]["name"]


def test_the_compose_services_name_each_other() -> None:
    services = read_yaml(INFRA / "docker/compose.yaml")["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
    server = re.fullmatch(r"http://([\w-]+):4200/api", services["worker"]["environment"]["PREFECT_API_URL"])
    assert server is not None
    assert server.group(1) in services


def test_the_image_is_built_from_files_that_exist() -> None:
    dockerfile = (INFRA / "docker/Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), f"COPY {source}"


def test_the_cluster_uses_the_pinned_ray() -> None:
    pinned = re.search(r"^ray==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    [cluster] = _documents(INFRA / "kubernetes/ray-cluster.yaml")
    assert cluster["spec"]["rayVersion"] == pinned.group(1)
