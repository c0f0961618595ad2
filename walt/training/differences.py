"""What may differ between a run's checkpoint and its next start, and what each difference means: one table.

A run's *identity* is readable JSON: ``training`` (its section), ``settings`` (other sections that decide the weights),
``data`` and ``weights`` (digests by name), ``code`` (file -> digest of its syntax tree) and ``compute`` (the machine).
Two identities are compared knob by knob, and the worst difference decides what becomes of the run
(``walt.training.continuation``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a difference means for a run that has checkpoints, the mildest first."""

    HARMLESS = "harmless"
    """The run goes on, and the change is recorded."""
    LONGER = "a longer run"
    """The run goes on to its new end, also after it had finished, and the change is recorded."""
    ANOTHER = "another result"
    """The stage stops before any work, and asks."""


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    what: str
    """A heading of the identity, or a knob or section under it; ``training`` stands for each training section."""
    kind: Kind
    why: str


TABLE: tuple[Row, ...] = (
    Row("compute", Kind.HARMLESS, "the machine: workers, device, number of devices and of nodes, sharding"),
    Row("training.log_every", Kind.HARMLESS, "how often the log has a line"),
    Row("training.timestep_bands", Kind.HARMLESS, "which means the log has"),
    Row("training.checkpoint_every", Kind.HARMLESS, "how often the state is written"),
    Row("training.keep_checkpoints", Kind.HARMLESS, "which checkpoints stay"),
    Row("training.keep_every_steps", Kind.HARMLESS, "which checkpoints stay"),
    Row("training.keep_every_hours", Kind.HARMLESS, "which checkpoints stay"),
    Row("training.skip_non_finite", Kind.HARMLESS, "how many bad steps in a row end the run; which are bad, it leaves"),
    Row("training.spike_threshold", Kind.HARMLESS, "what is reported"),
    Row("training.activation_checkpointing", Kind.HARMLESS, "memory against time, the same numbers"),
    Row("training.accumulation", Kind.HARMLESS, "memory against time, the same numbers up to rounding"),
    Row("training.compile", Kind.HARMLESS, "how fast a step is, the same numbers up to rounding"),
    Row("training.validation", Kind.HARMLESS, "what is looked at meanwhile"),
    Row("training.perceptual_network", Kind.HARMLESS, "a path: the weights that are there count, under weights"),
    Row("training.initial_weights", Kind.HARMLESS, "a path: the weights that are there count, under weights"),
    Row("training.steps", Kind.LONGER, "where it is raised; where it is lowered, another result"),
    Row("training", Kind.ANOTHER, "every other knob of the section: learning rate, batch, losses, precision ..."),
    Row("settings", Kind.ANOTHER, "seed, diffusion and the model's own section"),
    Row("data", Kind.ANOTHER, "digests of the tables of clips, latents, captions and embeddings"),
    Row("weights", Kind.ANOTHER, "digests of weights that were trained before: those it starts from, those of a loss"),
    Row("code", Kind.ANOTHER, "files that compute, without comments, docstrings and formatting"),
)
"""The most specific row holds. What has no row is another result."""

_ROWS = {row.what: row for row in TABLE}
_ABSENT = object()
_DIGESTS = ("data", "weights")


@dataclass(frozen=True)
class Difference:
    """One knob, digest or file that is not what it was."""

    path: tuple[str, ...]
    """Where in the identity."""
    text: str
    """For people: ``train_base.optimizer.learning_rate 0.0001 -> 5e-05``, or ``walt/nn/adaln.py changed``."""
    kind: Kind


def kind_of_knob(path: Sequence[str]) -> Kind:
    """What another value at this place of the identity means, by the table; of ``steps``: a higher value."""
    for length in range(len(path), 0, -1):
        if row := _ROWS.get(".".join(path[:length])):
            return row.kind
    return Kind.ANOTHER


def find_differences(old: Mapping[str, Any], new: Mapping[str, Any], section: str) -> list[Difference]:
    """What differs between a checkpoint's identity and the present one, in the order of their keys.

    Args:
        section: what the training's section is called in ``params.yaml``, for the texts.
    """
    found: list[Difference] = []
    for path, before, now in _compare((), json.loads(json.dumps(old)), json.loads(json.dumps(new))):
        kind = kind_of_knob(path)
        if kind is Kind.LONGER and not (isinstance(before, int) and isinstance(now, int) and now > before):
            kind = Kind.ANOTHER
        text = _text(path, before, now, section)
        if path == ("training", "steps") and _rate_depends_on_steps(new):
            text += " (the learning rate depends on it: other rates than in one go)"
        found.append(Difference(path, text, kind))
    return found


def worst(differences: Sequence[Difference]) -> Kind:
    """The kind that decides; harmless where nothing differs."""
    order = list(Kind)
    return max((difference.kind for difference in differences), key=order.index, default=Kind.HARMLESS)


def _compare(path: tuple[str, ...], old: Any, new: Any) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Places at which two JSON values differ, as deep as both have something there."""
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new) and _of_mappings(old + new):
        old, new = ({str(index): item for index, item in enumerate(items)} for items in (old, new))
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            yield from _compare((*path, key), old.get(key, _ABSENT), new.get(key, _ABSENT))
    elif old != new or type(old) is not type(new):
        yield path, old, new


def _rate_depends_on_steps(identity: Mapping[str, Any]) -> bool:
    optimizer: Mapping[str, Any] = identity["training"].get("optimizer", {})
    return optimizer.get("schedule", "constant") != "constant"


def _of_mappings(items: list[Any]) -> bool:
    return all(isinstance(item, Mapping) for item in items)


def _text(path: tuple[str, ...], old: Any, new: Any, section: str) -> str:
    """A difference in a few words, under the knob's name in ``params.yaml``."""
    heading, *rest = path
    if heading == "code":
        said = "is new" if old is _ABSENT else "is gone" if new is _ABSENT else "changed"
        return f"{'.'.join(rest) or heading} {said}"
    names = {"training": [section], "settings": []}.get(heading, [heading])
    return f"{'.'.join([*names, *rest])} {_value(heading, old)} -> {_value(heading, new)}"


def _value(heading: str, value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    if heading in _DIGESTS and isinstance(value, str):
        return value[:8]
    return json.dumps(value, sort_keys=True)
