"""The whole tiny pipeline on real services, and what else only they can show. ``make services-test`` runs it.

One set of services for all tests, which follow each other in the order of this file.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.services.everything import Services, all_services, what_is_missing
from infra.services.object_store import POLICIES
from infra.services.process import ServiceError
from walt.core.digests import sha256_file

pytestmark = pytest.mark.timeout(7200)
_LIMIT_SECONDS = 5400.0
_RELEASE = ("walt-base", "walt-sr-2x")
_SOURCE = "videos/00000.mp4"


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """All of them, with a project in which nothing has run. Their logs are with pytest's temporary folders."""
    if missing := what_is_missing():
        pytest.skip(f"not installed: {missing}")
    with all_services(tmp_path_factory.mktemp("logs")) as running:
        yield running


@pytest.fixture(scope="module")
def ran(services: Services) -> Services:
    """After the whole pipeline: two runs were asked for at once, of which one waited until the other had ended."""
    runs = [services.prefect.begin("ingest"), services.prefect.begin("all", target="report", promote=True)]
    for run in runs:
        state = services.prefect.wait(run, _LIMIT_SECONDS)
        assert state == "COMPLETED", services.prefect.messages(run)
    first, second = (services.prefect.run_of(run) for run in runs)
    assert first["end_time"] <= second["start_time"], "the pool's limit of one run at a time"
    assert "skipping acquisition" not in services.prefect.messages(runs[1]), "the accelerators' limit is there"
    return services


def test_everything_is_made_and_the_release_is_promoted(ran: Services) -> None:
    assert (ran.project / "results/report.html").is_file()
    assert "up to date" in ran.dvc("status")
    for model in _RELEASE:
        found = ran.mlflow.ask(f"registered-models/alias?name={model}&alias=champion", ran.environment)
        version = found["model_version"]
        assert version["source"].startswith("mlflow-artifacts:/"), "its files went through the server"
    assert any(key.endswith("model.safetensors") for key in ran.store.keys("mlflow/"))
    assert not (ran.project / "mlartifacts").exists()


def test_another_user_of_mlflow_sees_none_of_it(ran: Services) -> None:
    other = ran.mlflow.user("other")
    assert ran.mlflow.ask("registered-models/search", ran.environment)["registered_models"]
    assert not ran.mlflow.ask("registered-models/search", other).get("registered_models")
    with pytest.raises(ServiceError, match="403"):
        ran.mlflow.ask(f"registered-models/get?name={_RELEASE[0]}", other)
    with pytest.raises(ServiceError, match="401"):
        ran.mlflow.ask("registered-models/search", {**other, "MLFLOW_TRACKING_PASSWORD": "wrong"})


def test_doctor_reaches_all_of_them(ran: Services) -> None:
    checks = {check["name"]: check for check in json.loads(ran.walt("doctor", "--json"))}
    assert [checks[name]["status"] for name in ("s3", "mlflow", "prefect")] == ["ok"] * 3


def test_another_machine_gets_the_same_files_from_dvcs_remote(ran: Services, tmp_path: Path) -> None:
    ran.dvc("push")
    for name in ("dvc.yaml", "dvc.lock", "params.yaml", ".dvc/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ran.project / name, tmp_path / name)
    ran.dvc("pull", "train-base", "encode-video", folder=tmp_path)
    for folder in ("models/base", "data/latents"):
        files = _digests(ran.project / folder)
        assert files
        assert _digests(tmp_path / folder) == files


def test_databases_are_restored_from_their_backups(ran: Services, tmp_path: Path) -> None:
    """Servers write while the dumps are made; what they knew before, they know after all was lost."""
    databases = [ran.prefect.records, ran.mlflow.records, ran.mlflow.users]
    before = _known(ran)
    for database in databases:
        database.dump(tmp_path / database.name)
    for server in (ran.prefect, ran.mlflow):
        server.stop()
    for database in databases:
        ran.postgres.empty(database)
        assert not database.ask("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        database.restore(tmp_path / database.name)
    for server in (ran.mlflow, ran.prefect):
        server.start()
    assert _known(ran) == before


def test_a_taken_down_source_is_left_in_no_bucket_that_the_project_may_write(ran: Services) -> None:
    source = ran.folder / "sources" / _SOURCE
    assert sha256_file(source) in ran.walt("lineage", "--source", sha256_file(source), "--json")
    said = " ".join(ran.walt("takedown", sha256_file(source), "--reason", "asked").split())
    assert "removed from DVC's remote 'store': s3://" in said
    assert "MLflow at http://127.0.0.1:" in said, "whose files it does not look into"
    assert "whether s3://walt/clips keeps what was replaced and removed there is for its owner to say" in said, "403"


def test_policies_allow_what_is_done_and_no_more(ran: Services) -> None:
    calls = ran.store.calls()
    refused = {(method, path) for method, path, status in calls if status == 403}
    assert {call for call in refused if "?versions" not in call[1]} <= {("HEAD", "/walt")}, "asked for by botocore"
    done = {_action(method, path) for method, path, status in calls if status < 400}
    for name in ("project", "mlflow"):
        policy = json.loads((POLICIES / f"{name}.json").read_text(encoding="utf-8"))
        for statement in policy["Statement"]:
            for action in statement["Action"]:
                for resource in statement["Resource"]:
                    prefix = resource.removeprefix("arn:aws:s3:::BUCKET").strip("/*")
                    assert (action, prefix) in done, f"{name}: {action} under '{prefix}' was not needed"


def _action(method: str, path: str) -> tuple[str, str]:
    """(action, first part of the key) of a request."""
    where, _, query = path.partition("?")
    _, _, key = where.lstrip("/").partition("/")
    if not key and method == "GET" and "list-type=2" in query:
        return "s3:ListBucket", ""
    names = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "POST": "s3:PutObject"}
    return names.get(method, "s3:DeleteObject"), re.split("[/]", key)[0]


def _digests(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): sha256_file(file) for file in folder.rglob("*") if file.is_file()}


def _known(services: Services) -> dict[str, Any]:
    """What the servers say of runs, models, users and deployments."""
    runs = services.prefect.ask("flow_runs/filter", {"sort": "ID_DESC"})
    return {
        "flow runs": [run["id"] for run in runs if run["state_type"] == "COMPLETED"],  # others are due by a schedule
        "deployments": sorted(one["name"] for one in services.prefect.ask("deployments/filter", {})),
        "models": services.mlflow.ask("registered-models/search", services.environment),
        "users": services.mlflow.users.ask("SELECT username, password_hash FROM users ORDER BY id"),
    }
