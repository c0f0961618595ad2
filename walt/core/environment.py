"""Defaults of environment variables that this project's dependencies read; they are set only here.

An entry point (``walt.cli``, ``flows.serve``, ``flows.walt``) calls ``set_defaults`` before it imports such a library,
since most of them read their variables on import. Child processes inherit them. Variables that the user has set stay.
"""

from __future__ import annotations

import os

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
    # the tracking page needs two processes, not ten
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def set_defaults() -> None:
    """Set each variable that is not set yet."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
