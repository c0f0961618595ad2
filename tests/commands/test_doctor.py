"""``walt doctor``: each check, on an environment that is well and on one that is not."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

import walt.media.playable
from benchmarks.measure import machine
from tests.support.loopback import serve
from tests.support.parameters import params
from tests.support.tracking import set_version
from walt.cli import app
from walt.commands import doctor
from walt.commands.doctor import Check
from walt.core.errors import StorageError
from walt.project import dvc_yaml as pipeline
from walt.project.recipes import recipe_text

ROOT = Path(__file__).resolve().parents[2]


class Usage(NamedTuple):
    free: float


class Version(NamedTuple):
    major: int
    minor: int
    micro: int


@pytest.fixture(scope="module")
def rendered() -> str:
    """``dvc.yaml`` as it must be; it takes a second to find out."""
    return pipeline.render(ROOT)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rendered: str) -> Path:
    """A healthy one."""
    monkeypatch.setattr(pipeline, "render", lambda root: rendered)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "params.yaml").write_text(recipe_text("tiny"))
    (tmp_path / "dvc.yaml").write_text(rendered)
    (tmp_path / "datasets").mkdir()
    shutil.copy(ROOT / "datasets/shapes-few.yaml", tmp_path / "datasets/shapes-few.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(50 << 30))
    return tmp_path


@contextmanager
def server(status: int) -> Iterator[str]:
    """The address of a server that answers everything with this status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path.endswith("/health") else 404)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}"
        finally:
            http.shutdown()
            thread.join()


@pytest.mark.slow
def test_all_is_well(project: Path) -> None:
    before = sorted(project.rglob("*"))
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 0, result.exception
    checks = json.loads(result.stdout)
    assert [check["name"] for check in checks] == [
        "python", "temporary files", "libx264", "ffmpeg", "disk", "params.yaml", "sources", "torch", "dvc", "mlflow",
        "prefect",
    ]  # fmt: skip
    assert {check["status"] for check in checks} == {"ok"}, checks
    assert not any(check["advice"] for check in checks)
    assert sorted(project.rglob("*")) == before, "nothing is left behind"


@pytest.mark.slow
def test_what_fails_is_named_and_ends_with_status_4(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0.5 * (1 << 30)))
    monkeypatch.setenv("PREFECT_API_URL", " ")
    result = CliRunner().invoke(app, ["doctor"])
    assert isinstance(result.exception, StorageError)
    assert result.exception.exit_status == 4
    assert str(result.exception) == "doctor: disk, prefect"
    assert "0.5 GiB free" in result.stdout
    assert "-> unset PREFECT_API_URL" in result.stdout


def test_a_parameter_file_that_is_wrong(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_encoders", lambda: ())  # they and DVC start processes
    monkeypatch.setattr(doctor, "_dvc", lambda root: Check("dvc", "ok", ""))

    def check() -> Check:
        return {check.name: check for check in doctor.examine(project)}["params.yaml"]

    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("seed: 0", "sede: 0"))
    assert check().status == "fail"
    assert "did you mean 'seed'" in check().found
    assert check().advice == "fix the key"
    (project / "params.yaml").write_text(text.replace("seed: 0", ""))
    assert "missing key 'seed'" in check().found
    assert check().advice == "walt init --update", "what the message says, and nothing else"
    (project / "params.yaml").unlink()
    assert (check().status, check().advice) == ("fail", "walt init")


def test_beside_a_wheel_nobody_is_sent_to_a_makefile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, project: Path
) -> None:
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / "site-packages/walt/commands/doctor.py"))
    monkeypatch.setattr(doctor.sys, "version_info", Version(3, 10, 1))
    monkeypatch.setattr(metadata, "version", {"av": "19.0.2", "fastapi": "0.155.1", "prefect": "3"}.get)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    checks = [doctor._python(), *doctor._packages(), doctor._dvc(project), doctor._prefect()]
    assert [check.name for check in checks if check.status == "ok"] == []
    assert [check.advice for check in checks if "make" in check.advice or "constraints" in check.advice] == []
    assert doctor._prefect().advice == "python -m flows.serve, or unset PREFECT_API_URL"


def test_python_and_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.sys, "version_info", Version(3, 10, 1))
    assert doctor._python() == Check(
        "python", "fail", "3.10.1, but 3.11 to 3.13 are needed", "make install PYTHON=python3.11"
    )
    versions = {"torchvision": "0.28.0", "av": "18.1.0", "fastapi": "0.155.1", "sqlalchemy": "2.0.44"}
    monkeypatch.setattr(metadata, "version", versions.__getitem__)
    found = list(doctor._packages())
    assert [check.found.split(":")[0] for check in found] == ["torchvision 0.28.0", "fastapi 0.155.1"]
    assert [check.advice for check in found] == ["pip uninstall torchvision", "pip install -c constraints.txt -e ."]
    versions |= {"av": "19.0.2", "fastapi": "0.150.0"}
    assert "av 19.0.2: no video is read with 19 or later" in [check.found for check in doctor._packages()]


def test_encoders_that_fail(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(walt.media.playable.imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(broken))
    libx264, ffmpeg = doctor._encoders()
    assert (libx264.status, ffmpeg.status) == ("ok", "fail")
    assert "ffmpeg failed: broken" in ffmpeg.found
    assert "imageio-ffmpeg" in ffmpeg.advice


@pytest.mark.parametrize(("free", "status"), [(0.9, "fail"), (1.5, "warn"), (10.5, "ok")])
def test_disk(free: float, status: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free * (1 << 30)))
    assert doctor._disk(project).status == status
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert doctor._disk(project).status == "fail"


def test_where_temporary_files_cannot_be_written_that_is_what_fails(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor._temporary_files().status == "ok"

    @contextmanager
    def full() -> Iterator[Path]:
        raise StorageError("/tmp/x: No space left on device")
        yield Path()

    monkeypatch.setattr(doctor, "scratch_folder", full)
    [failed] = [check for check in doctor.examine(project) if check.status == "fail"]
    assert (failed.name, failed.found) == ("temporary files", "/tmp/x: No space left on device")


def test_source_files_that_are_not_here_stop_only_ingest(project: Path) -> None:
    (project / "datasets/shapes-few.yaml").write_bytes((ROOT / "datasets/captioned.yaml").read_bytes())
    (check,) = doctor._sources(params(), project)
    assert (check.status, "data/shapes: no such folder" in check.found) == ("warn", True)
    assert "dvc repro --downstream train-autoencoder caption" in check.advice
    (project / "data/shapes").mkdir(parents=True)
    assert [check.status for check in doctor._sources(params(), project)] == ["ok"]
    (project / "datasets/shapes-few.yaml").unlink()
    assert list(doctor._sources(params(), project)) == [], "walt check says what is wrong with a descriptor"


def test_pickled_weights_are_found_before_encode_text_refuses_them(project: Path) -> None:
    assert list(doctor._text_encoder(params(), project)) == []
    (project / "t5").mkdir()
    (project / "t5/pytorch_model.bin").touch()
    (check,) = doctor._text_encoder(params(text__encoder="t5"), project)
    assert (check.status, check.advice) == ("fail", "walt convert-text-encoder t5")
    (project / "t5/model.safetensors").touch()
    assert list(doctor._text_encoder(params(text__encoder="t5"), project)) == []


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert doctor._device(params(compute__device="auto")).status == "ok"
    check = doctor._device(params(compute__device="cuda"))
    assert (check.status, "torch finds no GPU" in check.found) == ("fail", True)


@pytest.mark.parametrize(("threads", "said"), [(1, ", processor, 1 thread"), (2, ", processor, 2 threads")])
def test_threads_are_counted(threads: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)
    assert doctor._device(params(compute__device="cpu")).found.endswith(said)
    assert f"{said.removeprefix(', processor')}, PyTorch" in machine("cpu")


def test_s3_matters_where_something_is_in_a_bucket(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(project / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(project / "none"))
    assert list(doctor._s3(params(), project)) == []
    bucket = params(dataset__path="s3://videos/all")
    (missing,) = doctor._s3(bucket, project)
    assert (missing.status, missing.found) == ("fail", "no credentials for s3://videos/all")
    (project / ".dvc/config").write_text("['remote \"r\"']\n    url = s3://cache\n")
    (remote,) = doctor._s3(params(), project)
    assert remote.found == "no credentials for a DVC remote"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    (found,) = doctor._s3(bucket, project)
    assert found.status == "ok"
    assert "secret" not in found.found


@pytest.mark.slow
def test_dvc(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "dvc.yaml").write_text("stages: {}\n")
    assert doctor._dvc(project).advice == "walt pipeline --write"
    (project / ".dvc").rmdir()
    assert doctor._dvc(project).advice == "dvc init"
    (project / "dvc.yaml").unlink()
    assert doctor._dvc(project).advice == "walt init"
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert doctor._dvc(project).status == "fail"


def test_mlflow_in_a_file(project: Path) -> None:
    uri = "sqlite:///mlflow.db"
    assert doctor._mlflow(uri, project).status == "ok"
    assert not (project / "mlflow.db").exists()
    with sqlite3.connect(project / "mlflow.db") as connection:
        connection.execute("create table runs (id)")
        connection.execute("insert into runs values (1), (2)")
    connection.close()
    assert doctor._mlflow(uri, project).found == "mlflow.db, 2 runs"
    (project / "mlflow.db").write_bytes(b"no database" * 100)
    assert doctor._mlflow(uri, project).status == "fail"
    away = doctor._mlflow("postgresql://user:word@127.0.0.1:9/db", project)
    assert (away.status, away.advice) == ("fail", "start it and install its driver")
    assert "word" not in away.found


@pytest.mark.parametrize(
    ("version", "advice"), [("older", "mlflow db upgrade sqlite:///"), ("newer", "install that one")]
)
def test_an_mlflow_database_of_another_version(project: Path, version: str, advice: str, empty_database: Path) -> None:
    shutil.copy(empty_database, project / "mlflow.db")
    assert doctor._mlflow("sqlite:///mlflow.db", project).status == "ok"
    set_version(project / "mlflow.db", version)
    found = doctor._mlflow("sqlite:///mlflow.db", project)
    assert (found.status, found.found) == ("fail", "mlflow.db is of another version")
    assert advice in found.advice


def test_a_server_that_wants_a_login(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Guarded(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = "Basic " + base64.b64encode(b"walt:word").decode()
            self.send_response(200 if self.path.endswith("/health") or self.headers["Authorization"] == known else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    served = serve(Guarded)
    url = f"http://127.0.0.1:{served.server_address[1]}"
    monkeypatch.setenv("PREFECT_API_URL", f"{url}/api")
    variables = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    assert doctor._mlflow(url, project).advice == f"set {variables}"
    assert doctor._prefect().advice == "set PREFECT_API_AUTH_STRING"
    assert doctor._mlflow(url.replace("://", "://walt:word@"), project).status == "ok"
    for name, value in {"MLFLOW_TRACKING_USERNAME": "walt", "MLFLOW_TRACKING_PASSWORD": "word"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "walt:word")
    assert [doctor._mlflow(url, project).status, doctor._prefect().status] == ["ok", "ok"]
    served.shutdown()
    served.server_close()


def test_servers(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(200) as url:
        assert doctor._mlflow(url, project).status == "ok"
        monkeypatch.setenv("PREFECT_API_URL", f"{url}/api")
        assert doctor._prefect().status == "ok"
    gone = doctor._prefect()
    assert (gone.status, gone.advice) == ("fail", "make serve, or unset PREFECT_API_URL")
    assert "refused" in gone.found
    with server(500) as url:
        ill = doctor._mlflow(url.replace("http://", "http://user:word@"), project)
        assert ill.status == "fail"
        assert "500" in ill.found
        assert "word" not in ill.found
