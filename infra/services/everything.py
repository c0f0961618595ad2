"""All services of a project together, and the project itself, which reaches every one of them with no more rights than
it needs."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from infra.services.mlflow_server import MlflowServer
from infra.services.object_store import ObjectStore
from infra.services.postgres import Postgres, program
from infra.services.prefect_services import PrefectServer, PrefectWorker
from infra.services.process import run
from infra.services.project import make_project, upload_sources
from infra.services.ray_nodes import RayNode

ROOT = Path(__file__).resolve().parents[2]
_MODULES = ("ray", "moto", "psycopg2", "flask_wtf")


def what_is_missing() -> str | None:
    """The commands that install what is not there; None where all is."""
    ways = []
    if not (program("postgres") and program("initdb") and shutil.which("psql") and shutil.which("pg_dump")):
        ways.append("apt-get install postgresql")
    if any(find_spec(module) is None for module in _MODULES):
        ways.append("make install")
    return " && ".join(ways) or None


@dataclass(frozen=True)
class Services:
    """Those that run."""

    folder: Path
    postgres: Postgres
    store: ObjectStore
    mlflow: MlflowServer
    prefect: PrefectServer
    ray: RayNode
    workers: tuple[PrefectWorker, PrefectWorker]
    project: Path
    environment: dict[str, str]
    """With which the project's commands reach all of them."""

    def walt(self, *arguments: str) -> str:
        """Run ``walt`` in the project; what it printed."""
        return run([sys.executable, "-m", "walt.cli", *arguments], self.environment, self.project)

    def dvc(self, *arguments: str, folder: Path | None = None) -> str:
        """The same for ``dvc``, also in another folder."""
        return run([sys.executable, "-m", "dvc", *arguments], self.environment, folder or self.project)


@contextmanager
def all_services(logs: Path) -> Iterator[Services]:
    """Start everything in a temporary folder, with a project whose sources are in the bucket; stop it in the end.

    Args:
        logs: where the services' logs are afterwards.
    """
    folder = Path(tempfile.mkdtemp(prefix="walt-"))  # a short path: see RayNode
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(lambda: [shutil.copy(log, logs) for log in folder.glob("*.log")])
        postgres = stack.enter_context(Postgres(folder))
        store = stack.enter_context(ObjectStore(folder))
        mlflow = stack.enter_context(MlflowServer(folder, postgres, store.user("mlflow")))
        prefect = stack.enter_context(PrefectServer(folder, postgres))
        environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **store.user("project"), **mlflow.user("walt")}
        head = stack.enter_context(RayNode("ray-head", folder, environment))
        stack.enter_context(RayNode("ray-node", folder, environment, head))
        environment |= {**head.client, **prefect.client}
        upload_sources(folder / "sources", store)
        project = make_project(folder / "project", store.endpoint, mlflow.url, environment)
        prefect.deploy(project, environment)
        first, second = (
            stack.enter_context(PrefectWorker(f"worker-{number}", folder, project, prefect, environment))
            for number in (1, 2)
        )
        yield Services(folder, postgres, store, mlflow, prefect, head, (first, second), project, environment)
