"""MLflow's page for the project's own database: runs, curves, sample videos, model versions."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from walt.core import environment, log
from walt.core.errors import ConfigurationError
from walt.tracking.config import TrackingConfig
from walt.tracking.server import connect, resolve_uri


def show_page(config: TrackingConfig, root: Path, port: int = 5000) -> NoReturn:
    """Become MLflow's server on ``http://127.0.0.1:<port>``, until Ctrl-C.

    Raises:
        ConfigurationError: ``tracking.uri`` is a server already; the message says where its page is.
    """
    if config.uri.startswith("http"):
        raise ConfigurationError(f"tracking.uri: the page is {config.uri} itself; open it in a browser")
    environment.set_defaults()
    experiment = connect(config, root).experiment_id
    # without the workflow type MLflow 3 opens on an empty page for traces of language models
    page = f"http://127.0.0.1:{port}/#/experiments/{experiment}/runs?workflowType=machine_learning"
    log.info(f"MLflow's page: {page} (Ctrl-C ends it)")
    sys.stdout.flush()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    os.environ["MLFLOW_BACKEND_STORE_URI"] = resolve_uri(config.uri, root)  # it may have a password: not for `ps`
    command += ["--default-artifact-root", (root / "mlartifacts").resolve().as_uri()]
    os.execv(sys.executable, command)
