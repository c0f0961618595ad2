"""MLflow's server behind its basic authentication: records and users in PostgreSQL, files on the S3 server."""

from __future__ import annotations

import base64
import json
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.server import free_port
from infra.services.object_store import BUCKET
from infra.services.postgres import Postgres
from infra.services.process import HOST, Service, ServiceError, answers

_ADMIN, _USER, _PASSWORD = "admin", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
_SETTINGS = Path(__file__).parents[1] / "mlflow/basic_auth.ini"


class MlflowServer(Service):
    """One server. Who has no user reaches nothing; a user sees what is his, and what others let him see."""

    def __init__(self, folder: Path, postgres: Postgres, storage: Mapping[str, str]) -> None:
        """
        Args:
            storage: the environment with which it reads and writes artifacts.
        """
        super().__init__("mlflow", folder)
        self.port = free_port()
        self.records, self.users = postgres.database("mlflow"), postgres.database("mlflow_users")
        self._storage = storage
        self._admin_password, self._secret_key = secrets.token_urlsafe(24), secrets.token_urlsafe(24)

    @property
    def url(self) -> str:
        """What ``tracking.uri`` is."""
        return f"http://{HOST}:{self.port}"

    def command(self) -> list[str]:
        """One worker, which is enough here."""
        return [
            sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(self.port), "--workers", "1",
            "--app-name", "basic-auth", "--artifacts-destination", f"s3://{BUCKET}/mlflow",
        ]  # fmt: skip

    def environment(self) -> Mapping[str, str]:
        """Where its records are, and all that is secret."""
        return {
            **self._storage,
            **self.records.environment,
            "MLFLOW_BACKEND_STORE_URI": "postgresql:///mlflow",
            "MLFLOW_AUTH_CONFIG_PATH": str(_SETTINGS),
            "MLFLOW_AUTH_ADMIN_PASSWORD": self._admin_password,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": self._secret_key,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }

    def is_ready(self) -> bool:
        """Whether it answers."""
        return answers(f"{self.url}/health")

    def user(self, name: str) -> dict[str, str]:
        """A new user; the environment in which MLflow's client is that user."""
        password = secrets.token_urlsafe(24)
        admin = {_USER: _ADMIN, _PASSWORD: self._admin_password}
        self.ask("users/create", admin, {"username": name, "password": password})
        return {_USER: name, _PASSWORD: password}

    def ask(self, path: str, environment: Mapping[str, str], body: Mapping[str, Any] | None = None) -> Any:
        """A request to its API as the user whose environment this is; POST where there is a body.

        Raises:
            ServiceError: it answers with an error; the message has the number.
        """
        login = base64.b64encode(f"{environment[_USER]}:{environment[_PASSWORD]}".encode()).decode()
        request = urllib.request.Request(
            f"{self.url}/api/2.0/mlflow/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Basic {login}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ServiceError(f"MLflow answers {error.code} to {path}") from error
