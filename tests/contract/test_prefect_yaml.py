"""``prefect.yaml`` and the infrastructure files say what the code says."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from flows import deployments
from flows.deployments import DEPLOYMENTS, ENTRYPOINT, RETRAIN, render
from walt.core.config import read_yaml
from walt.core.transformers import TRANSFORMERS
from walt.project.registry import STAGE_NAMES

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"


def _documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in YAML(typ="safe", pure=True).load_all(path.read_text()) if document]


def test_prefect_yaml_is_what_the_table_says() -> None:
    written = (ROOT / "prefect.yaml").read_text(encoding="utf-8")
    assert written == render(ROOT), "run `python -m flows.deployments --write`"


def test_prefect_yaml_declares_each_deployment_for_the_pinned_version() -> None:
    """Not the generator against itself: what Prefect reads of the file."""
    pinned = re.search(r"^prefect==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    written = read_yaml(ROOT / "prefect.yaml")
    assert written["prefect-version"] == pinned.group(1)
    assert [entry["name"] for entry in written["deployments"]] == [spec.name for spec in DEPLOYMENTS]
    for entry, spec in zip(written["deployments"], DEPLOYMENTS, strict=True):
        assert entry["parameters"] == {"target": spec.target, "promote": spec.promote, "retrain": spec.retrain}
        assert [schedule["cron"] for schedule in entry.get("schedules", [])] == [spec.cron] * bool(spec.cron)
        assert all(schedule["timezone"] == "UTC" for schedule in entry.get("schedules", []))
        assert entry["work_pool"]["name"] == "walt"


def test_the_entry_point_is_the_flow_called_walt() -> None:
    module, _, name = ENTRYPOINT.rpartition(".")
    flow = getattr(importlib.import_module(module), name)
    assert flow.name == "walt"
    assert not flow.persist_result, "a result of Prefect's would be a second opinion on what is fresh"


def test_deployments_bring_known_stages_up_to_date_under_names_of_their_own() -> None:
    assert {spec.target for spec in DEPLOYMENTS} <= set(STAGE_NAMES)
    names = [spec.name for spec in DEPLOYMENTS]
    assert len(set(names)) == len(names)
    assert {transformer.stage for transformer in TRANSFORMERS} <= set(names)


def test_retraining_is_on_a_schedule_and_promotes_the_model() -> None:
    [retrain] = [spec for spec in DEPLOYMENTS if spec.name == RETRAIN]
    assert (retrain.target, retrain.promote, retrain.retrain, retrain.cron) == (
        STAGE_NAMES[-1],
        True,
        True,
        "0 3 * * *",
    )


def test_the_command_lists_or_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "constraints.txt").write_text("prefect==1.2.3\n", encoding="utf-8")
    deployments.main([])
    assert "walt/retrain          [cron: 0 3 * * *] On a schedule: " in capsys.readouterr().out
    assert not (tmp_path / "prefect.yaml").exists()
    deployments.main(["--write"])
    assert read_yaml(tmp_path / "prefect.yaml")["prefect-version"] == "1.2.3"


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
