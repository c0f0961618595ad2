"""Model versions in the registry, and the rule by which a new one takes the alias.

A *release* is the set of models that were evaluated together: the base transformer, whose versions carry the figures,
and all that is needed to sample from it. The alias (``champion``) moves for all or for none, since a transformer is of
no use with the latents of another autoencoder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from walt.core.errors import ConfigurationError
from walt.core.left_out import is_left_out
from walt.core.paths import Paths
from walt.core.storage import read_json
from walt.core.suggestions import did_you_mean
from walt.core.transformers import TRANSFORMERS
from walt.tracking import runs, server
from walt.tracking.config import PromotionConfig, TrackingConfig

METRIC_TAG = "walt.metric/"
"""Before the name of a metric: a tag on a model version, with the value that its release reached."""


@dataclass(frozen=True)
class _Member:
    """One model of the candidate release: its full name, its version, and the version that has the alias now."""

    name: str
    version: str
    aliased: str | None


def promote_newest(config: TrackingConfig, rule: PromotionConfig, root: Path) -> str:
    """Judge the project's present models by ``results/evaluation.json``; a sentence with the decision and the reason.

    Raises:
        ConfigurationError: there is no evaluation yet, or it has no such metric.
        StorageError: MLflow is out of reach.
    """
    paths = Paths(root)
    folders = {transformer.version_name: root / transformer.folder for transformer in TRANSFORMERS}
    folders |= {"autoencoder": paths.autoencoder, "text-encoder": paths.text_encoder}
    for path in (paths.evaluation, *folders.values()):
        if not path.exists():
            raise ConfigurationError(f"{path}: no such file; run `dvc repro` before `walt promote`")
    release = {name: folder for name, folder in folders.items() if not is_left_out(folder)}
    runs.deliver(config, root)
    return promote(config, rule, root, release, read_json(paths.evaluation)["metrics"])


def promote(
    config: TrackingConfig, rule: PromotionConfig, root: Path, folders: dict[str, Path], metrics: dict[str, float]
) -> str:
    """Give ``rule.alias`` to the models in ``folders``, if ``metrics`` are better by more than the margin.

    The first entry of ``folders`` decides: its aliased version carries the value to beat. The first release gets the
    alias. A model that was never registered (its training could not reach MLflow) is registered now. Asking again
    gives the same answer and changes nothing.

    Args:
        folders: short name -> folder of safetensors and JSON, the deciding model first.
        metrics: what the release reached, by name.

    Returns:
        One sentence: what was decided, and why.

    Raises:
        ConfigurationError: ``promotion.metric`` is not among the metrics.
        StorageError: MLflow is out of reach.
    """
    value = _value(rule, metrics)
    with server.errors():
        connection = server.connect(config, root)
        members = [_member(connection, rule, name, folder) for name, folder in folders.items()]
        decider = members[0]
        what = f"{decider.name} version {decider.version}"
        if all(member.version == member.aliased for member in members):
            _tag(connection, rule, decider, value)  # it may have been measured anew
            return f"{what} already is {rule.alias} ({rule.metric} {value:.4g}): nothing to decide."
        for member in members:
            if member.version != member.aliased:
                _tag(connection, rule, member, value)
        better, reason = _compare(rule, value, _value_to_beat(connection, rule, decider), decider.aliased)
        if not better:
            return f"{what} does not become {rule.alias}: {reason}."
        # the decider comes last: until it has its value and the alias, the same question gets the same answer
        for member in reversed(members):
            _tag(connection, rule, member, value)
            connection.client.set_registered_model_alias(member.name, rule.alias, member.version)
        return f"{what} becomes {rule.alias}: {reason}."


def _value(rule: PromotionConfig, metrics: dict[str, float]) -> float:
    if rule.metric not in metrics:
        hint = did_you_mean(rule.metric, metrics, "it has none", cutoff=0.3)
        raise ConfigurationError(f"promotion.metric: the evaluation has no '{rule.metric}'{hint}")
    return float(metrics[rule.metric])


def _member(connection: server.Connection, rule: PromotionConfig, name: str, folder: Path) -> _Member:
    full_name = f"{connection.model_prefix}-{name}"
    version = server.find_version(connection, full_name, server.folder_digest(folder))
    if version is None:
        version = server.register(connection, None, folder, name)
    aliases = connection.client.get_registered_model(full_name).aliases
    return _Member(full_name, version, str(aliases[rule.alias]) if rule.alias in aliases else None)


def _value_to_beat(connection: server.Connection, rule: PromotionConfig, decider: _Member) -> float | None:
    """What the aliased release reached; None where nothing is aliased or it was never measured by this metric."""
    if decider.aliased is None:
        return None
    tags = connection.client.get_model_version(decider.name, decider.aliased).tags
    text = tags.get(METRIC_TAG + rule.metric)
    return None if text is None else float(text)


def _compare(rule: PromotionConfig, value: float, to_beat: float | None, aliased: str | None) -> tuple[bool, str]:
    """Whether the release takes the alias, and why."""
    if not math.isfinite(value):
        return False, f"{rule.metric} is {value}"
    if aliased is None:
        return True, f"it is the first, with {rule.metric} {value:.4g}"
    if to_beat is None:
        return True, f"version {aliased} was never measured by {rule.metric}; this one has {value:.4g}"
    gain = value - to_beat if rule.better == "higher" else to_beat - value
    comparison = f"{rule.metric} {value:.4g} against {to_beat:.4g} of version {aliased}"
    if gain > rule.margin:
        return True, f"{comparison}, better by more than {rule.margin:g}"
    return False, f"{comparison}, not better by more than {rule.margin:g}"


def _tag(connection: server.Connection, rule: PromotionConfig, member: _Member, value: float) -> None:
    connection.client.set_model_version_tag(member.name, member.version, METRIC_TAG + rule.metric, repr(value))
