"""Prefect: a server on PostgreSQL behind its own password, and process workers."""

from __future__ import annotations

import base64
import json
import secrets
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.server import api_url, free_port
from infra.services.postgres import Postgres
from infra.services.process import HOST, Service, ServiceError, answers, run

POOL = "walt"
_ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


class PrefectServer(Service):
    """One server with its schedules and its page."""

    def __init__(self, folder: Path, postgres: Postgres) -> None:
        super().__init__("prefect-server", folder)
        self.port = free_port()
        self.records = postgres.database("prefect")
        self._login = f"walt:{secrets.token_urlsafe(24)}"

    def command(self) -> list[str]:
        """As people start it."""
        return [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(self.port)]

    def environment(self) -> Mapping[str, str]:
        """Where its records are, and all that is secret."""
        return {
            "PREFECT_HOME": str(self.folder / "prefect-server"),
            **self.records.environment,
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg:///prefect",
            "PREFECT_SERVER_API_AUTH_STRING": self._login,
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        }

    def is_ready(self) -> bool:
        """Whether it answers, which this address does without a login."""
        return answers(f"{api_url(self.port)}/health")

    @property
    def client(self) -> dict[str, str]:
        """The environment of a client."""
        return {
            "PREFECT_HOME": str(self.folder / "prefect-client"),
            "PREFECT_API_URL": api_url(self.port),
            "PREFECT_API_AUTH_STRING": self._login,
        }

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """A request to its API; POST where there is a body."""
        login = base64.b64encode(self._login.encode()).decode()
        request = urllib.request.Request(
            f"{api_url(self.port)}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Basic {login}"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def deploy(self, project: Path, environment: Mapping[str, str]) -> None:
        """Make the pool, the project's deployments and the accelerators' limit, as ``infra/README.md`` says."""
        here = {**environment, **self.client}
        prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
        run([*prefect, "work-pool", "create", POOL, "--type", "process"], here, project)
        run([*prefect, "work-pool", "set-concurrency-limit", POOL, "1"], here, project)
        run([sys.executable, "-m", "flows.deployments", "--write"], here, project)
        run([*prefect, "deploy", "--all"], here, project)
        run([sys.executable, "-m", "flows.set_up"], here, project)

    def begin(self, deployment: str, **parameters: object) -> str:
        """Ask for a run of a deployment of the flow ``walt``; its id."""
        found = self.ask(f"deployments/name/walt/{deployment}")
        return str(self.ask(f"deployments/{found['id']}/create_flow_run", {"parameters": parameters})["id"])

    def run_of(self, run_id: str) -> dict[str, Any]:
        """What the server says of a flow run."""
        found: dict[str, Any] = self.ask(f"flow_runs/{run_id}")
        return found

    def wait(self, run_id: str, seconds: float) -> str:
        """Until a flow run has ended; how. Raises ServiceError where it takes longer."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            state = str(self.run_of(run_id)["state_type"])
            if state in _ENDED:
                return state
            time.sleep(1)
        raise ServiceError(f"the flow run has not ended within {seconds:.0f} s: {self.run_of(run_id)['state']}")

    def messages(self, run_id: str) -> str:
        """What a flow run logged."""
        lines: list[str] = []
        filters = {"logs": {"flow_run_id": {"any_": [run_id]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        while page := self.ask("logs/filter", {**filters, "offset": len(lines)}):
            lines += [str(entry["message"]) for entry in page]
        return "\n".join(lines)


class PrefectWorker(Service):
    """Takes runs of the pool; its flow runs work in the project's folder."""

    def __init__(
        self, name: str, folder: Path, project: Path, server: PrefectServer, environment: Mapping[str, str]
    ) -> None:
        """
        Args:
            environment: with which its runs reach the other services.
        """
        super().__init__(name, folder)
        self._server, self._environment, self._project = server, environment, project

    def command(self) -> list[str]:
        """As people start it."""
        prefect = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--name", self.name]
        return ["env", f"--chdir={self._project}", *prefect, "--install-policy", "never"]

    def environment(self) -> Mapping[str, str]:
        """Of its runs too."""
        return {**self._environment, **self._server.client}

    def is_ready(self) -> bool:
        """Whether the server has heard of it."""
        workers = self._server.ask(f"work_pools/{POOL}/workers/filter", {})
        return any(worker["name"] == self.name and worker["status"] == "ONLINE" for worker in workers)
