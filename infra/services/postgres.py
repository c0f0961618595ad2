"""PostgreSQL: one server, a database with an owner of its own for each service, backup and restore."""

from __future__ import annotations

import pwd
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flows.server import free_port
from infra.services.process import HOST, Service, is_root, run

_ADMIN = "postgres"
_DATABASES = Path(__file__).parents[1] / "postgres/databases.sql"
_UNPRIVILEGED = ("postgres", "nobody")
"""Users of whom one runs the server where this process is root's."""


def program(name: str) -> str | None:
    """Where a program of PostgreSQL's server is: on PATH, or where Debian puts it."""
    found = shutil.which(name)
    if found:
        return found
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(places[-1]) if places else None


@dataclass(frozen=True)
class Database:
    """A database, and its owner."""

    name: str
    owner: str
    port: int
    password: str

    @property
    def environment(self) -> dict[str, str]:
        """With which clients connect as its owner: psql, MLflow's driver and Prefect's all read these."""
        return {
            "PGHOST": HOST, "PGPORT": str(self.port), "PGUSER": self.owner, "PGPASSWORD": self.password,
            "PGDATABASE": self.name,
        }  # fmt: skip

    def ask(self, sql: str) -> list[str]:
        """Rows of a query, their columns separated by ``|``."""
        return run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql], self.environment).splitlines()

    def dump(self, file: Path) -> None:
        """Write a backup, while the database is in use."""
        run(["pg_dump", "--format=custom", f"--file={file}"], self.environment)

    def restore(self, file: Path) -> None:
        """Fill the database, which is empty, from a backup: all of it or nothing."""
        options = ["--no-owner", "--exit-on-error", "--single-transaction"]
        run(["pg_restore", *options, f"--dbname={self.name}", str(file)], self.environment)


class Postgres(Service):
    """A server with password authentication, on loopback, whose files are in its folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__("postgres", folder)
        self.port = free_port()
        self._admin = Database(_ADMIN, _ADMIN, self.port, secrets.token_urlsafe(24))
        self._passwords = {name: secrets.token_urlsafe(24) for name in ("prefect", "mlflow")}
        self._data = folder / "postgres"

    def prepare(self) -> None:
        """Make the server's files, for a user who is not root."""
        passwords = self._data / "password"
        self._data.mkdir(mode=0o700)
        passwords.write_text(self._admin.password)
        passwords.chmod(0o600)
        if user := _server_user():
            self.folder.chmod(0o711)  # the server's user must come through to its own folder
            for path in (self._data, passwords):
                shutil.chown(path, user)
        options = ["--auth=scram-sha-256", f"--pwfile={passwords}", f"--username={_ADMIN}", "--encoding=UTF8"]
        command = [*_as_server_user(), str(program("initdb")), *options, "--no-sync", "--locale=C.UTF-8"]
        run([*command, f"--pgdata={self._data / 'data'}"], {}, self._data)
        passwords.unlink()

    def command(self) -> list[str]:
        """The server itself. Without fsync: nothing of it outlives the test."""
        options = ["-h", HOST, "-p", str(self.port), "-k", str(self._data), "-F"]
        return [*_as_server_user(), str(program("postgres")), "-D", str(self._data / "data"), *options]

    def is_ready(self) -> bool:
        """Whether it lets the administrator in."""
        command = ["psql", "-XAtqc", "SELECT 1"]
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", **self._admin.environment}
        return subprocess.run(command, env=environment, capture_output=True, check=False).stdout == b"1\n"

    def start(self) -> None:
        """Start it; the first time also make the databases."""
        is_new = not self.log.exists()
        super().start()
        if is_new:
            passwords = {f"{name.upper()}_DB_PASSWORD": word for name, word in self._passwords.items()}
            run(["psql", "-Xqf", str(_DATABASES)], {**self._admin.environment, **passwords})

    def database(self, name: str) -> Database:
        """One of those that ``infra/postgres/databases.sql`` makes."""
        owner = name.partition("_")[0]
        return Database(name, owner, self.port, self._passwords[owner])

    def empty(self, database: Database) -> None:
        """Make a database again, without tables; the clients that it has are cut off."""
        self._admin.ask(f"DROP DATABASE {database.name} WITH (FORCE)")
        self._admin.ask(f"CREATE DATABASE {database.name} OWNER {database.owner}")

    def environment(self) -> Mapping[str, str]:
        """Messages that do not depend on the machine's language."""
        return {"LC_ALL": "C.UTF-8"}


def _server_user() -> str | None:
    """Who runs the server in place of root; None where this process is not root's."""
    if not is_root():
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _UNPRIVILEGED if name in known)


def _as_server_user() -> list[str]:
    """What a command begins with that must not run as root."""
    user = _server_user()
    if user is None:
        return []
    entry = pwd.getpwnam(user)
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
