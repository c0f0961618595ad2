"""``walt status``: one screen, each line of which is there whatever the others say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.support.release import promoted
from walt.commands.status import growth
from walt.commands.status import screen as status
from walt.commands.status.growth import FILE, grown_since
from walt.commands.status.screen import disk_by_kind, screen
from walt.core.errors import StorageError
from walt.core.storage import lock
from walt.project.recipes import recipe_text

NOBODY = "http://127.0.0.1:9/api"  # the discard port: nobody listens


@pytest.fixture
def root(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project; DVC says that ingest is stale."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    (tmp_path / "params.yaml").write_text(recipe_text("tiny"))
    dvc = subprocess.CompletedProcess([], 0, '{"report": [], "ingest": [{"changed deps": {}}]}\n', "")
    monkeypatch.setattr(status.subprocess, "run", lambda *_, **__: dvc)
    return tmp_path


def line(root: Path, name: str, api: str = NOBODY) -> str:
    (found,) = [line for line in screen(root, api) if line.startswith(f"{name}:")]
    return found.partition(":")[2].strip()


@pytest.mark.slow
def test_what_is_stale_and_what_runs(root: Path) -> None:
    assert line(root, "stale") == "ingest, report"
    assert line(root, "running") == "nothing"
    with lock(root / "work/flow.lock"), lock(root / "work/train-base/lock"):
        assert line(root, "running") == f"flow (process {os.getpid()}), train-base (process {os.getpid()})"
    assert line(root, "running") == "nothing", "the number in the file stays"


def test_dvc_that_cannot_say_is_quoted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dvc = subprocess.CompletedProcess([], 1, "", "ERROR: you are not inside of a DVC repository\n")
    monkeypatch.setattr(status.subprocess, "run", lambda *_, **__: dvc)
    assert line(root, "stale") == "DVC cannot say (ERROR: you are not inside of a DVC repository)"


@pytest.mark.slow
def test_the_release_with_the_alias(root: Path) -> None:
    assert line(root, "promoted") == "no release is champion"
    folder = root / "models/base"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"1")
    promoted(root, {"base": folder}, 60)
    assert line(root, "promoted").startswith("base 1 (adherence/both 0.9375 [")


def test_who_only_looks_makes_no_database(root: Path) -> None:
    (root / "mlflow.db").unlink()
    assert line(root, "promoted") == "no release is champion"
    assert not (root / "mlflow.db").exists()


@pytest.mark.usefixtures("mlflow_is_asked_once")
def test_a_registry_that_is_away_is_said(root: Path) -> None:
    text = (root / "params.yaml").read_text().replace("sqlite:///mlflow.db", "http://127.0.0.1:9")
    (root / "params.yaml").write_text(text)
    assert line(root, "promoted").startswith("MLflow cannot say (")


def test_a_file_with_two_names_takes_its_place_once(root: Path) -> None:
    for folder in ("data/clips", ".dvc/cache", "work/ingest/sources"):
        (root / folder).mkdir(parents=True)
    (root / "data/clips/a.tar").write_bytes(bytes(100_000))
    (root / ".dvc/cache/aa").hardlink_to(root / "data/clips/a.tar")
    (root / "work/ingest/sources/b").write_bytes(bytes(50_000))
    (root / "work/ingest/c").write_bytes(bytes(200_000))
    sizes = disk_by_kind(root)
    assert 100_000 <= sizes["clips and tables"] < 150_000
    assert sizes["DVC's cache"] == 0
    assert 50_000 <= sizes["cut clips"] < 100_000
    assert 200_000 <= sizes["checkpoints and other work"] < 250_000, "without the cut clips"
    shown = screen(root, NOBODY)
    assert any(line.endswith("clips and tables") for line in shown)
    assert any(line.endswith("cut clips (freed by: walt gc --caches)") for line in shown)
    assert any(line.endswith("other work (freed by: walt gc --checkpoints)") for line in shown)


def test_what_was_added_is_shown_beside_what_frees_it(root: Path) -> None:
    cache = root / ".dvc/cache"
    cache.mkdir(parents=True)
    assert "disk:" in screen(root, NOBODY), "nothing to compare with"
    long_ago = {"day": "2020-01-01", "sizes": {"DVC's cache": 0, "models": 4096}}
    (root / FILE).write_text(
        json.dumps([long_ago, {"day": "2020-01-09", "sizes": {"DVC's cache": 4096, "models": 4096}}])
    )
    (cache / "a").write_bytes(bytes(492 * 1024))
    shown = screen(root, NOBODY)
    assert "disk, and what was added since 2020-01-09:" in shown, "the newest that is a week old"
    freed = "(freed by: walt gc, as far as nothing refers to it)"
    assert any(line.endswith(f"492 KiB  DVC's cache, +488 KiB {freed}") for line in shown), shown
    assert any(line.endswith("0 B  models, -4 KiB") for line in shown), shown
    oldest, _ = json.loads((root / FILE).read_text())
    assert oldest["day"] == "2020-01-09", "older ones went, and there is one a day"


def test_sizes_of_the_last_days_are_compared_with_the_oldest(tmp_path: Path) -> None:
    day = date(2026, 5, 1)
    for number in range(5):
        before, said = grown_since(tmp_path, {"models": number}, day + timedelta(days=number))
        assert (before and before.sizes, said) == ({"models": 0} if number else None, "")
    before, _ = grown_since(tmp_path, {"models": 9}, day + timedelta(days=8))
    assert before is not None
    assert before.sizes == {"models": 1}
    before, _ = grown_since(tmp_path, {"models": 9}, day + timedelta(days=1))
    assert before is not None
    assert before.sizes == {"models": 1}, "days to come are none"


@pytest.mark.parametrize(
    "text", ["{", '[{"day": "tomorrow", "sizes": {}}]', '[{"day": "2026-01-01", "sizes": {"a": -1}}]']
)
def test_a_record_of_sizes_that_is_none_is_said_and_begun_again(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text(text)
    before, said = grown_since(tmp_path, {"models": 1}, date(2026, 5, 1))
    assert before is None
    assert said.startswith("begun again: ")
    assert grown_since(tmp_path, {"models": 1}, date(2026, 5, 2))[1] == ""


def test_a_full_disk_stops_no_other_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StorageError("no space left")

    monkeypatch.setattr(growth, "write_json", full)
    shown = screen(root, NOBODY)
    assert "  growth cannot be said (no space left)" in shown
    assert "in all" in shown[-1]


@pytest.fixture
def api() -> Iterator[tuple[str, dict[str, object]]]:
    """The address of a server that gives answers by path; where it has none, 404."""
    answers: dict[str, object] = {}

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            login = answers.get("login")
            if login and self.headers["Authorization"] != login:
                self.send_error(401)
                return
            known = self.path in answers
            body = json.dumps(answers.get(self.path)).encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api", answers
        server.shutdown()


@pytest.mark.slow
def test_the_next_run(root: Path, api: tuple[str, dict[str, object]]) -> None:
    url, answers = api
    assert line(root, "next run").startswith(f"none: no Prefect server answers at {NOBODY}")
    assert line(root, "next run", url) == "walt/retrain is not served"
    answers["/api/deployments/name/walt/retrain"] = {"id": "1", "paused": False}
    answers["/api/flow_runs/filter"] = []
    assert line(root, "next run", url) == "walt/retrain has no schedule"
    answers["/api/flow_runs/filter"] = [{"expected_start_time": "2030-01-01T03:00:00Z"}]
    assert line(root, "next run", url) == "walt/retrain at 2030-01-01T03:00:00Z"
    answers["/api/deployments/name/walt/retrain"] = {"id": "1", "paused": True}
    assert line(root, "next run", url) == "walt/retrain is paused"
    answers["/api/deployments/name/walt/retrain"] = {"id": "1", "paused": False, "schedules": [{"active": False}]}
    assert line(root, "next run", url) == "walt/retrain is paused: each of its schedules is switched off"


@pytest.mark.slow
def test_a_server_with_a_login(root: Path, api: tuple[str, dict[str, object]], monkeypatch: pytest.MonkeyPatch) -> None:
    url, answers = api
    answers["login"] = "Basic bWU6c2VjcmV0"  # me:secret
    answers["/api/deployments/name/walt/retrain"] = {"id": "1", "paused": False}
    answers["/api/flow_runs/filter"] = []
    monkeypatch.delenv("PREFECT_API_AUTH_STRING", raising=False)
    assert line(root, "next run", url) == "Prefect's server refuses the login: set PREFECT_API_AUTH_STRING"
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "me:secret")
    assert line(root, "next run", url) == "walt/retrain has no schedule"


def test_a_password_in_an_address_is_not_shown(root: Path) -> None:
    said = line(root, "next run", "http://me:planted@127.0.0.1:9/api")
    assert said.startswith("none: no Prefect server answers at ")
    assert "planted" not in said
