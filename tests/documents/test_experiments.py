"""The commands for experiments in a copy: DVC puts into one only what the named stages make and what is before them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = re.findall(
    r"dvc exp run --temp --downstream ((?:[a-z0-9-]+ )+)", (ROOT / "docs/orchestration.md").read_text(encoding="utf-8")
)


def _names(entries: list[Any]) -> set[str]:
    """Of dependencies or outputs, which are strings, or a mapping from the name to options."""
    return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}


STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
NEEDS = {name: _names(stage.get("deps", [])) for name, stage in STAGES.items()}
MAKES = {
    name: _names([*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])])
    for name, stage in STAGES.items()
}
BEFORE = {name: {other for other in STAGES if NEEDS[name] & MAKES[other]} for name in STAGES}


def _all_before(names: set[str]) -> set[str]:
    found = names | {other for name in names for other in BEFORE[name]}
    return found if found == names else _all_before(found)


def _all_after(names: set[str]) -> set[str]:
    found = names | {name for name in STAGES if BEFORE[name] & names}
    return found if found == names else _all_after(found)


def _lacking(targets: set[str]) -> set[str]:
    """Stages whose outputs a follower of the targets needs, and which a copy has not and does not make."""
    ran = _all_after(targets)
    return {other for name in ran for other in BEFORE[name]} - ran - _all_before(targets)


def test_a_branch_that_is_not_named_is_lacking() -> None:
    assert _lacking({"train-base"}) == {"train-sr-2x", "train-sr-4x"}


@pytest.mark.parametrize("targets", COMMANDS)
def test_a_documented_command_names_each_branch(targets: str) -> None:
    assert set(targets.split()) <= set(STAGES)
    assert _lacking(set(targets.split())) == set()


def test_there_are_commands() -> None:
    assert len(COMMANDS) == 2
