"""``prefect.yaml`` says what the code says."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from flows import deployments
from flows.deployments import DEPLOYMENTS, ENTRYPOINT, RETRAIN, render
from walt.core.config import read_yaml
from walt.core.transformers import TRANSFORMERS
from walt.project.registry import STAGE_NAMES

ROOT = Path(__file__).parents[2]


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
        given = {"target": spec.target, "promote": spec.promote, "retrain": spec.retrain, "hours": spec.hours}
        assert entry["parameters"] == given
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
