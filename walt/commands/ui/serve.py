"""``walt ui``: the server, from its lock and its port to its end."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from walt.commands.ui.studio import FOLDER, Settings, Studio
from walt.core.errors import ConfigurationError, StorageError
from walt.core.log import info
from walt.core.paths import ARTIFACTS
from walt.core.storage import lock
from walt.project.runner import load_params

_MISSING = "walt ui needs FastAPI and uvicorn: pip install '/path/to/walt[ui]'"


def serve(
    root: Path,
    settings: Settings,
    *,
    host: str,
    port: int,
    out: Path | None,
    allowed: Sequence[str],
    folders: Sequence[str],
) -> None:
    """Answer until Ctrl-C or SIGTERM. Finished videos are kept; one that is being made is not.

    Raises:
        ConfigurationError: the parameters are wrong, a folder is missing, or FastAPI is not installed.
        StorageError: the port is taken, or the folder cannot be written.
        LockedError: another server writes into the folder.
    """
    try:
        import uvicorn

        from walt.commands.ui.app import make_app
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("walt"):
            raise
        raise ConfigurationError(f"{_MISSING} ({error})") from None
    from walt.commands.ui.guard import own_hosts

    load_params(root)  # a folder without a project is left as it is
    folder = root / FOLDER if out is None else out
    if any(
        (root / artifact).resolve() in (folder.resolve(), *folder.resolve().parents) for artifact in ARTIFACTS.values()
    ):
        raise ConfigurationError("--out: this folder belongs to a stage; choose another")
    with lock(folder / "lock"), _listening(host, port) as listener:
        studio = Studio(root, folder, settings, folders)
        port = listener.getsockname()[1]
        studio.start()
        app = make_app(studio, own_hosts(host, port, allowed))
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, ws="none", lifespan="off", timeout_graceful_shutdown=5,
            server_header=False, h11_max_incomplete_event_size=65536,
        )  # fmt: skip
        signal.signal(signal.SIGTERM, _leave)  # uvicorn sends itself the signal again when it has ended
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            _say(host, port, folder)
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:
            info("the page has ended")


def _say(host: str, port: int, folder: Path) -> None:
    info(f"http://{f'[{host}]' if ':' in host else host}:{port} shows the page; Ctrl-C ends it.")
    info(f"videos are kept in {folder}")
    if host not in ("127.0.0.1", "::1", "localhost"):
        info("there is no login: whoever can reach this address can use it")
    sys.stdout.flush()


def _listening(host: str, port: int) -> socket.socket:
    """Raises StorageError where the port is taken, or the address is not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise StorageError(f"port {port} of {host}: {error.strerror or error}; choose another with --port") from None


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
