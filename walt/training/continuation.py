"""How a start of a training goes on from what an earlier one left: on, afresh, or not at all.

``begin`` decides before any work, by the table in ``walt.training.differences``; ``resume`` gives the loop its
checkpoint; ``finish`` marks the run as published. Nothing here removes a checkpoint because it differs: a run that
begins afresh sets the earlier one aside (``walt.training.set_aside``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from walt.core.digests import sha256_json
from walt.core.errors import ConfigurationError
from walt.core.log import info, warning
from walt.core.storage import read_json, write_json
from walt.training import checkpoint
from walt.training.checkpoint import Checkpoint
from walt.training.config import IfDifferent, LoopConfig
from walt.training.differences import Difference, Kind, find_differences, worst
from walt.training.set_aside import (
    ACCEPTED,
    checkpoints,
    damaged_checkpoints,
    newest_set_aside,
    remove,
    remove_old,
    set_all_aside,
)

CHANGES_TAG = "walt.changes"
"""On an MLflow run: what changed since the training's first step, a line for each start at which something did."""
COURSE_TAG = "walt.course"
"""As ``walt.tracking.runs`` has it: on a run whose curves are others than those of one with the same parameters, since
it was gone on with after another result, or began afresh."""
CHANGES_FILE = "changes.json"
"""In a model's folder, where something changed while it was trained."""
_PUBLISHED = "published.json"


class DifferentRunError(ConfigurationError):
    """The checkpoint is of a run with another result. The message has the differences and the three ways on."""


@dataclass(frozen=True)
class Beginning:
    """How a training begins."""

    step: int
    """Steps that are done already."""
    changes: list[dict[str, Any]]
    """What changed during the run, the oldest first: ``step`` (done before it), ``kind`` and ``differences``."""
    set_aside: int = 0
    """How many earlier runs were set aside in the same place, up to the newest."""

    def tags(self) -> dict[str, str]:
        """For the MLflow run: what changed, at which step, and which course it took; nothing where nothing changed."""
        lines = [f"step {change['step']}: {'; '.join(change['differences'])}" for change in self.changes]
        others = [change for change in self.changes if change["kind"] == Kind.ANOTHER]
        course = {COURSE_TAG: sha256_json([self.set_aside, others])} if self.set_aside or others else {}
        return {CHANGES_TAG: "\n".join(lines), **course} if lines else course


def section_of(name: str) -> str:
    """A training stage's section in ``params.yaml``: ``train_base`` of train-base."""
    return name.replace("-", "_")


def run_identity(identity: Mapping[str, Any], config: LoopConfig) -> dict[str, Any]:
    """A stage's identity with its training section, every knob of it."""
    return {**identity, "training": config.model_dump(mode="json")}


def begin(
    name: str, work: Path, identity: Mapping[str, Any], config: LoopConfig, if_different: IfDifferent
) -> Beginning:
    """Decide how the run begins; where it begins afresh, set the earlier checkpoints aside. Before any work.

    Args:
        name: of the stage.
        identity: as for ``walt.training.loop.train``.
        if_different: what to do where a run that has not finished would have another result.

    Raises:
        DifferentRunError: it would, and this is ``refuse``; nothing was changed.
        ConfigurationError: the checkpoints cannot be gone on from; nothing was changed.
        NoneWholeError: all are damaged, and this is not ``afresh``; nothing was changed. That tensors are damaged only
            ``afresh`` and ``resume`` find.
    """
    whole = run_identity(identity, config)
    try:
        found = checkpoint.newest(work, hashed=if_different == "afresh")
    except checkpoint.NoneWholeError as error:
        if if_different != "afresh":
            raise _none_whole(name, error) from None
        return _begin_afresh(name, work, str(error))
    except checkpoint.OtherFormatError as error:
        if if_different != "afresh":
            raise ConfigurationError(f"{name}: {error}: go on with that version, or {_afresh(name)}") from None
        return _begin_afresh(name, work, str(error))
    if found is None:
        return Beginning(0, [], newest_set_aside(work))
    differences = find_differences(found.identity, whole, section_of(name))
    kind, texts = worst(differences), "; ".join(difference.text for difference in differences)
    if kind is Kind.ANOTHER and not _is_accepted(work, whole):
        longer = config.steps > found.step
        if is_published(checkpoint.folder_of(work, found.step)) and not (if_different == "go-on" and longer):
            return _begin_afresh(name, work, texts)
        if if_different == "afresh":
            return _begin_afresh(name, work, texts)
        if if_different == "refuse":
            raise DifferentRunError(_refusal(name, found.step, differences))
        if found.step > config.steps:
            said = f"{section_of(name)}.steps is {config.steps}, but the checkpoint has done {found.step}"
            raise ConfigurationError(f"{name}: {said}: raise it, or {_afresh(name)}")
        write_json(work / ACCEPTED, {"identity": whole})
    return Beginning(found.step, _changes(found, differences, config), newest_set_aside(work))


def resume(
    name: str, work: Path, identity: Mapping[str, Any], config: LoopConfig
) -> tuple[Checkpoint, list[dict[str, Any]]] | None:
    """The newest whole checkpoint, and what changed during the run up to now; None where there is none.

    Args:
        identity: with the training section (``run_identity``).

    Raises:
        DifferentRunError: it is of a run with another result, and ``begin`` was not asked to go on with it.
        ConfigurationError: it is of another version.
        NoneWholeError: all checkpoints are damaged.
    """
    try:
        found = checkpoint.load(work)
    except checkpoint.NoneWholeError as error:
        raise _none_whole(name, error) from None
    if found is None:
        return None
    differences = find_differences(found.identity, identity, section_of(name))
    if worst(differences) is Kind.ANOTHER and not _is_accepted(work, identity):
        raise DifferentRunError(_refusal(name, found.step, differences))
    for difference in differences:
        warning(f"{name}: at step {found.step}: {difference.text} ({difference.kind})")
    info(f"{name}: resumed at step {found.step}")
    return found, _changes(found, differences, config)


def fits(name: str, model: nn.Module, found: Checkpoint, part: str) -> bool:
    """Whether the checkpoint has weights for a model; where not, the model is new in this run and starts as it is.

    Raises:
        ConfigurationError: it has weights of other names or shapes; the message names the first.
    """
    if part not in found.parts:
        warning(f"{name}: the checkpoint has no {part}: it starts untrained at step {found.step}")
        return False
    saved = {key: tuple(value.shape) for key, value in found.parts[part].items()}
    wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    for key in sorted(saved.keys() | wanted.keys()):
        if saved.get(key) != wanted.get(key):
            said = f"{key} is {saved.get(key, 'absent')} there and {wanted.get(key, 'absent')} in the model"
            of = f"the checkpoint of step {found.step} is of another {part}"
            raise ConfigurationError(f"{name}: {of}, {said}: undo this, or {_afresh(name)}")
    return True


def has_optimizer(name: str, found: Checkpoint, config: LoopConfig, part: str) -> bool:
    """Whether the checkpoint has a state for this optimizer; where not, its moments start at nothing."""
    if part in found.parts and found.identity["training"]["optimizer"]["name"] == config.optimizer.name:
        return True
    warning(f"{name}: the checkpoint has no moments of {config.optimizer.name}: they start anew at step {found.step}")
    return False


def write_changes(folder: Path, changes: Sequence[Mapping[str, Any]]) -> None:
    """Put what changed during a run beside its model; no file where nothing did."""
    if changes:
        write_json(folder / CHANGES_FILE, list(changes))


def finish(work: Path, kept: int | None) -> None:
    """The run's model is published: keep its last checkpoint, from which it can be made longer, and no more.

    Args:
        kept: how many earlier runs stay set aside, at least 1; None for all.
    """
    found = checkpoints(work)
    for last in found[-1:]:
        write_json(last / _PUBLISHED, {})
    (work / ACCEPTED).unlink(missing_ok=True)
    remove([*found[:-1], *damaged_checkpoints(work)])
    remove_old(work, kept)


def _begin_afresh(name: str, work: Path, why: str) -> Beginning:
    folder = set_all_aside(work, why)
    warning(f"{name}: starting from step 0; the earlier checkpoints are in {folder}: {why}")
    return Beginning(0, [], newest_set_aside(work))


def _changes(found: Checkpoint, differences: Sequence[Difference], config: LoopConfig) -> list[dict[str, Any]]:
    """What changed so far. A run of which no step is left was not changed by a difference."""
    changes: list[dict[str, Any]] = found.state["changes"]
    if not differences or found.step >= config.steps:
        return changes
    texts = [difference.text for difference in differences]
    return [*changes, {"step": found.step, "kind": str(worst(differences)), "differences": texts}]


def _is_accepted(work: Path, identity: Mapping[str, Any]) -> bool:
    """Whether the user chose to go on with this identity, from checkpoints of another."""
    file = work / ACCEPTED
    if not file.is_file():
        return False
    return worst(find_differences(read_json(file)["identity"], identity, "")) is not Kind.ANOTHER


def is_published(folder: Path) -> bool:
    """Whether the model of the run whose checkpoint is in this folder was published."""
    return (folder / _PUBLISHED).is_file()


def _refusal(name: str, step: int, differences: Sequence[Difference]) -> str:
    texts = "; ".join(difference.text for difference in differences if difference.kind is Kind.ANOTHER)
    return (
        f"{name}: the checkpoint of step {step} is of a run with another result: {texts}. Undo this, or go on from "
        f"there with `walt {name} --go-on`, or {_afresh(name)}. Under DVC and Prefect the choice is "
        "resume.if_different in params.yaml: go-on or afresh"
    )


def _none_whole(name: str, error: checkpoint.NoneWholeError) -> checkpoint.NoneWholeError:
    return checkpoint.NoneWholeError(
        f"{name}: {error}. Put a whole one there, from a backup, and start again, or {_afresh(name)}. "
        "Under DVC and Prefect that is resume.if_different: afresh in params.yaml"
    )


def _afresh(name: str) -> str:
    return f"begin at step 0 with `walt {name} --afresh`, which sets the checkpoints aside"
