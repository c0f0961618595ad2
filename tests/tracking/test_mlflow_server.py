"""What only an MLflow server does: it keeps the files itself, and checks where a version says that they are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from flows.server import free_port
from infra.services.process import HOST, Service, answers
from tests.support.s3 import Bucket
from tests.support.tracking import CONFIG
from walt.tracking import server
from walt.tracking.config import TrackingConfig
from walt.tracking.given_models import given_model
from walt.tracking.runs import start_run

pytestmark = pytest.mark.slow


class _Server(Service):
    """Records in SQLite, files where its clients do not see them: in a folder of its own, or on S3."""

    def __init__(self, folder: Path, files: str | None = None) -> None:
        super().__init__("mlflow", folder)
        self.port = free_port()
        self.files = files or f"{folder}/files"

    @property
    def config(self) -> TrackingConfig:
        return CONFIG.model_copy(update={"uri": f"http://{HOST}:{self.port}"})

    def command(self) -> list[str]:
        return [
            sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db",
            "--artifacts-destination", self.files,
        ]  # fmt: skip

    def environment(self) -> Mapping[str, str]:
        return {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}

    def is_ready(self) -> bool:
        return answers(f"http://{HOST}:{self.port}/health")


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingConfig]:
    with _Server(tmp_path_factory.mktemp("server")) as running:
        yield running.config


def test_files_that_the_server_keeps_on_s3_go_through_it(
    bucket: Bucket, tmp_path: Path, model: Callable[[str, bytes], Path]
) -> None:
    """Else only those who reach the bucket could read them (MLflow 3.17 gives its clients signed addresses)."""
    with _Server(tmp_path / "server", f"{bucket.url}/mlflow") as running:
        connection = server.connect(running.config, tmp_path)
        assert server.register(connection, None, model("base", b"weights"), "base") == "1"
        given = given_model(running.config, tmp_path, "models:/walt-base/1", tmp_path / "work")
        assert (given.folder / "model.safetensors").read_bytes() == b"weights"
    read = [path for method, path in bucket.proxy.requests if method == "GET" and "model.safetensors" in path]
    assert read
    assert not [path for path in read if "X-Amz-Signature" in path]


def test_a_model_of_a_run_and_one_without_are_registered_and_fetched(
    tracked: TrackingConfig, tmp_path: Path, model: Callable[[str, bytes], Path]
) -> None:
    with start_run(tracked, tmp_path, "train-base", {"steps": 3}, {}) as run:
        run.log_metrics({"loss": 0.5}, 1)
        assert run.register_model(model("base", b"of a run"), "base") == "1"
    connection = server.connect(tracked, tmp_path)
    assert server.register(connection, None, model("base", b"without"), "base") == "2"
    for version, content in (("1", b"of a run"), ("2", b"without")):
        source = connection.client.get_model_version("walt-base", version).source
        assert source.startswith("mlflow-artifacts:/"), "its files went through the server"
        given = given_model(tracked, tmp_path, f"models:/walt-base/{version}", tmp_path / "work" / version)
        assert (given.folder / "model.safetensors").read_bytes() == content
    assert connection.client.get_run(str(run.run_id)).data.metrics == {"loss": 0.5}
