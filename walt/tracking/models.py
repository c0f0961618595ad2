"""Model versions in the registry, and their alias, which moves by a rule of ``walt.tracking.promotion``.

A *release* is the set of models that were evaluated together: the base transformer, whose versions carry the figures,
and all that is needed to sample from it. The alias (``champion``) moves for all or for none, since a transformer cannot
be used with the latents of another autoencoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from walt.core.errors import ConfigurationError
from walt.core.left_out import is_left_out
from walt.core.paths import Paths
from walt.core.storage import read_json
from walt.core.suggestions import did_you_mean
from walt.core.transformers import TRANSFORMERS
from walt.tracking import promotion, runs, server
from walt.tracking.config import TrackingConfig
from walt.tracking.promotion import PromotionRule

METRIC_TAG = "walt.metric/"
"""Before the name of a metric: a tag on a model version, with the value that its release reached."""


@dataclass(frozen=True)
class _Member:
    """One model of the candidate release: its full name, its version, and the version that has the alias now."""

    name: str
    version: str
    aliased: str | None


def promote_newest(config: TrackingConfig, rule: PromotionRule, root: Path) -> str:
    """Apply the rule to the project's models by ``results/evaluation.json``; returns the decision and its reason.

    Raises:
        ConfigurationError: there is no evaluation yet, or it has no such metric.
        StorageError: MLflow cannot be reached.
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
    config: TrackingConfig, rule: PromotionRule, root: Path, folders: dict[str, Path], metrics: dict[str, float]
) -> str:
    """Give ``rule.alias`` to the models in ``folders``, if ``metrics`` are better by the rule.

    The first entry of ``folders`` decides: its aliased version carries the values to beat. The first release gets the
    alias. A model that was never registered (its training could not reach MLflow) is registered now. Asking again
    gives the same answer and changes nothing.

    Args:
        folders: short name -> folder of safetensors and JSON, the deciding model first.
        metrics: what the release reached, by name.

    Returns:
        One sentence: the decision and its reason.

    Raises:
        ConfigurationError: a metric that the rule asks for is not among the metrics.
        StorageError: MLflow cannot be reached.
    """
    figures = _figures(rule, metrics)
    with server.errors():
        connection = server.connect(config, root)
        members = [_member(connection, rule, name, folder) for name, folder in folders.items()]
        decider = members[0]
        what = f"{decider.name} version {decider.version}"
        if all(member.version == member.aliased for member in members):
            _tag(connection, decider, figures)  # it may have been measured again
            return f"{what} already is {rule.alias} ({promotion.listed(figures)}): nothing to decide."
        for member in members:
            if member.version != member.aliased:
                _tag(connection, member, figures)
        to_beat = _figures_to_beat(connection, rule, decider)
        decision = promotion.decide(rule, figures, to_beat, decider.aliased)
        if not decision.better:
            return f"{what} does not become {rule.alias}: {decision.reason}."
        # the decider comes last: until it has its values and the alias, the same question gets the same answer
        for member in reversed(members):
            _tag(connection, member, figures)
            connection.client.set_registered_model_alias(member.name, rule.alias, member.version)
        return f"{what} becomes {rule.alias}: {decision.reason}."


def _figures(rule: PromotionRule, metrics: dict[str, float]) -> dict[str, float]:
    """The figures that the rule needs."""
    for key, name in rule.metrics.items():
        if name not in metrics:
            hint = did_you_mean(name, metrics, "it has none", cutoff=0.3)
            raise ConfigurationError(f"promotion.{key}: the evaluation has no '{name}'{hint}")
    return {name: float(metrics[name]) for name in rule.metrics.values()}


def _member(connection: server.Connection, rule: PromotionRule, name: str, folder: Path) -> _Member:
    full_name = f"{connection.model_prefix}-{name}"
    version = server.find_version(connection, full_name, server.folder_digest(folder))
    if version is None:
        version = server.register(connection, None, folder, name)
    aliases = connection.client.get_registered_model(full_name).aliases
    return _Member(full_name, version, str(aliases[rule.alias]) if rule.alias in aliases else None)


def _figures_to_beat(connection: server.Connection, rule: PromotionRule, decider: _Member) -> dict[str, float] | None:
    """The figures of the aliased release, as far as they were measured; None where nothing is aliased."""
    if decider.aliased is None:
        return None
    tags = connection.client.get_model_version(decider.name, decider.aliased).tags
    return {name: float(tags[METRIC_TAG + name]) for name in rule.metrics.values() if METRIC_TAG + name in tags}


def _tag(connection: server.Connection, member: _Member, figures: dict[str, float]) -> None:
    for name, value in figures.items():
        connection.client.set_model_version_tag(member.name, member.version, METRIC_TAG + name, repr(value))
