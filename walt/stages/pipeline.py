"""``dvc.yaml``, made from the registry: stages, parameters, data and code."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from walt.core.paths import ARTIFACTS
from walt.core.storage import write_bytes
from walt.stages.code import code_dependencies
from walt.stages.registry import STAGES, Stage

PIPELINE_FILE = "dvc.yaml"
_HEADER = "# Made by `walt pipeline --write` from walt/stages/registry.py; a test holds the two equal. Do not edit.\n"


def render() -> str:
    """The content of ``dvc.yaml``."""
    stream = StringIO()
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 120
    yaml.dump({"stages": {stage.name: _entry(stage) for stage in STAGES}}, stream)
    return _HEADER + stream.getvalue()


def write(root: Path) -> bool:
    """Bring ``dvc.yaml`` up to date; whether it changed."""
    path, content = root / PIPELINE_FILE, render()
    if path.is_file() and path.read_text(encoding="utf-8") == content:
        return False
    write_bytes(path, content.encode())
    return True


def _entry(stage: Stage) -> dict[str, Any]:
    data = [*stage.sources, *(ARTIFACTS[name] for name in stage.inputs)]
    return {
        "cmd": f"walt {stage.name}",
        "desc": stage.summary,
        "params": list(stage.params),
        "deps": [*data, *code_dependencies(stage.module)],
        "outs": [_output(stage, name) for name in stage.outputs],
    }


def _output(stage: Stage, name: str) -> str | dict[str, Any]:
    return {ARTIFACTS[name]: {"persist": True}} if stage.persist else ARTIFACTS[name]
