"""Defaults of environment variables that this project's dependencies read; they are set only here.

An entry point (``walt.cli``, ``flows.serve``, ``flows.walt``) calls ``set_defaults`` before it imports such a library,
since most of them read their variables on import. Child processes inherit them. Variables that the user has set stay.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""How long torch's threads on processors spin when they wait for each other, before they sleep. Who sets one of them
has decided: the other is left alone then, since the second would overrule the first."""
DEFAULTS: dict[str, str] = {
    # no telemetry
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    # a tracking server that is down delays training by seconds, not minutes; figures are sent later
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    # who holds a place under a limit is known again after the server's end: else (Prefect 3.8) a run that ended with it
    # holds its place for ever, and each later one waits
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    # files of a tracking server go through it: else, where it keeps them on S3, each client reads them from there by an
    # address that the server signs, and fails after minutes where only the server reaches that (MLflow 3.17)
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
    # no bars of MLflow's between the lines of a stage
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # the tracking page needs two processes, not ten
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    # threads that spin as long as they do by themselves take the processor from the one they wait for, wherever another
    # process runs: training fell to a quarter of its speed and less (docs/results/training.md)
    "GOMP_SPINCOUNT": "1000",
}


def defaults(given: Mapping[str, str]) -> dict[str, str]:
    """Those of the variables that an environment does not decide."""
    decided = set(given)
    if decided & set(WAITING):
        decided |= set(WAITING)
    return {name: value for name, value in DEFAULTS.items() if name not in decided}


def set_defaults() -> None:
    """Set each variable that is not decided yet. Those of torch's threads work where it was not imported before."""
    os.environ.update(defaults(os.environ))
