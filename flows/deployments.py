"""The deployments of the flow ``walt``, as plain data: served by ``flows.serve``, and written out in ``prefect.yaml``.

``prefect deployment run walt/<name>`` starts one. ``python -m flows.deployments --write`` brings ``prefect.yaml`` up to
date; a test holds it equal to this table.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from walt.core.storage import write_bytes
from walt.core.transformers import TRANSFORMERS

ENTRYPOINT = "flows.pipeline.walt"
"""Dotted: one given as a path would put ``flows/`` on the import path, where ``walt.py`` hides the package."""
RETRAIN = "retrain"
"""The deployment that ``flows.serve --retrain-cron`` gives another schedule."""
PREFECT_FILE = "prefect.yaml"


@dataclass(frozen=True)
class DeploymentSpec:
    """One deployment: which stage it brings up to date, and when."""

    name: str
    description: str
    target: str
    promote: bool = False
    retrain: bool = False
    cron: str | None = None
    """In UTC; None: only on request."""
    hours: float | None = None
    """After which a run is stopped; None: no limit. Trainings take what they take: whoever knows how long sets it."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Of the flow."""
        return {"target": self.target, "promote": self.promote, "retrain": self.retrain, "hours": self.hours}


DEPLOYMENTS: tuple[DeploymentSpec, ...] = (
    DeploymentSpec("ingest", "Videos and captions to clips, a manifest and a rejects table.", "ingest"),
    *(
        DeploymentSpec(transformer.stage, f"{transformer.title}, and everything it needs.", transformer.stage)
        for transformer in TRANSFORMERS
    ),
    DeploymentSpec("evaluate", "Samples and their figures, and everything they need.", "evaluate"),
    DeploymentSpec("all", "Everything, to the report.", "report"),
    DeploymentSpec(
        RETRAIN,
        "On a schedule: ingest new, changed and removed source files; where enough clips are new by the rule in "
        "params.yaml, train on from the release with the alias, evaluate, and move the alias if the new one is better.",
        "report",
        promote=True,
        retrain=True,
        cron="0 3 * * *",
    ),
)

_HEADER = """\
# Made by `python -m flows.deployments --write` from the table there; a test holds the two equal. Do not edit.
# It is for workers on other machines (`prefect --no-prompt deploy --all`, after a worker has made the pool), see
# infra/README.md (`walt docs infra/README`). On one machine `python -m flows.serve` (`make serve`) does not need it.
"""


def render(root: Path) -> str:
    """The content of ``prefect.yaml``, for the version of Prefect in ``constraints.txt``, or the installed one."""
    constraints = root / "constraints.txt"
    pinned = constraints.is_file() and re.search(r"^prefect==(\S+)", constraints.read_text("utf-8"), re.MULTILINE)
    document = {
        "name": "walt",
        "prefect-version": pinned.group(1) if pinned else version("prefect"),
        "build": None,
        "push": None,
        "pull": None,  # the worker starts in the project's folder: a checkout, or the image's folder
        "deployments": [_entry(spec) for spec in DEPLOYMENTS],
    }
    stream = StringIO()
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 120
    yaml.dump(document, stream)
    return _HEADER + stream.getvalue()


def _entry(spec: DeploymentSpec) -> dict[str, Any]:
    schedules = {"schedules": [{"cron": spec.cron, "timezone": "UTC", "active": True}]} if spec.cron else {}
    return {
        "name": spec.name,
        "description": spec.description,
        "entrypoint": ENTRYPOINT,
        "parameters": spec.parameters,
        **schedules,
        "work_pool": {"name": "walt", "work_queue_name": "default"},
    }


def main(arguments: list[str] | None = None) -> None:
    """List the deployments, or write ``prefect.yaml``."""
    parser = argparse.ArgumentParser(prog="python -m flows.deployments", description="The flow's deployments.")
    parser.add_argument("--write", action="store_true", help=f"bring {PREFECT_FILE} up to date instead of listing them")
    if parser.parse_args(arguments).write:
        write_bytes(Path.cwd() / PREFECT_FILE, render(Path.cwd()).encode())
        return
    for spec in DEPLOYMENTS:
        print(f"walt/{spec.name:16} {f'[cron: {spec.cron}] ' if spec.cron else ''}{spec.description}")


if __name__ == "__main__":
    main()
