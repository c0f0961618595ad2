"""Model versions in the registry, and their alias, which moves by a rule of ``walt.tracking.promotion``.

A *release* is the set of models that were evaluated together (``walt.tracking.releases``): the base transformer, whose
versions carry the figures, and all that is needed to sample from it. The alias (``champion``) moves for all or for
none, since a transformer cannot be used with the latents of another autoencoder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from walt.core.digests import sha256_json
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.figures import Figure
from walt.core.log import info
from walt.core.own_digest import KEY
from walt.core.paths import Paths
from walt.core.suggestions import did_you_mean
from walt.tracking import promotion, releases, runs, server
from walt.tracking.config import TrackingConfig
from walt.tracking.evaluations import check_named, find_evaluation, read_evaluation
from walt.tracking.given_models import given_model
from walt.tracking.measured import MEASURED_TAG, keep_measured
from walt.tracking.promotion import Decision, Figures, PromotionRule
from walt.tracking.release_record import keep_release, rolled_back, taken_down
from walt.tracking.release_runs import note_decision
from walt.tracking.releases import METRIC_TAG, MODEL_ARTIFACTS, release_digests, release_folders

DECISION_TAG = "walt.decision"
"""On a model version: the last decision about it, with its numbers (JSON)."""

Evaluation = Mapping[str, Any]
"""The content of ``results/evaluation.json``."""

Measure = Callable[[Mapping[str, Path]], Evaluation]
"""Evaluates the models in these folders (by their names without the prefix) as the project's own were."""


@dataclass(frozen=True)
class _Member:
    """One model of the candidate release: its full name, its version, and the version that has the alias now."""

    name: str
    version: str
    aliased: str | None


def promote_newest(config: TrackingConfig, rule: PromotionRule, root: Path, measure: Measure) -> str:
    """Apply the rule to the project's models by ``results/evaluation.json``; returns the decision and its reason.

    Raises: as ``promote``.
        ConfigurationError, CorruptArtifactError: there is no evaluation, or none that can be believed; see
            ``walt.tracking.evaluations``.
    """
    find_evaluation(root)
    folders = release_folders(Paths(root))
    runs.deliver(config, root)
    evaluation = read_evaluation(config, root)
    return promote(config, rule, root, folders, evaluation, measure)


def promote(
    config: TrackingConfig,
    rule: PromotionRule,
    root: Path,
    folders: Mapping[str, Path],
    evaluation: Evaluation,
    measure: Measure,
) -> str:
    """Give ``rule.alias`` to the models in ``folders``, if they are better by the rule than the release that has it.

    Both are compared by what was measured on the same clips, prompts, seeds and settings: the release with the alias is
    measured again where the evaluation that is kept with it is of others. The first entry of ``folders`` decides. A
    model that was never registered (its training could not reach MLflow) is registered now. The decision is kept with
    the model versions. Asking again gives the same answer and changes nothing.

    A release that was made with a source that was taken down since never takes the alias, and need not be beaten where
    it has it.

    Args:
        folders: short name -> folder of safetensors and JSON, the deciding model first.
        evaluation: of these very models; ``measure`` evaluates other ones in the same way.

    Returns:
        One sentence: the decision and its reason.

    Raises:
        ConfigurationError: the evaluation is of other models, or lacks a metric that the rule asks for.
        StorageError: MLflow cannot be reached.
    """
    digests = release_digests(folders)
    check_named(digests, evaluation, folders)
    figures = _figures(rule, evaluation)
    with server.errors():
        connection = server.connect(config, root)
        members = [_member(connection, rule, name, folder, digests[name]) for name, folder in folders.items()]
        decider = members[0]
        what = f"{decider.name} version {decider.version}"
        aliased = aliased_release(connection, rule.alias)
        versions = {name: member.version for name, member in zip(folders, members, strict=True)}
        if aliased == versions:  # they may have been measured again
            keep_measured(connection, decider.name, decider.version, figures, digests)
            return f"{what} already is {rule.alias} ({promotion.listed(figures)}): nothing to decide."
        if (note := rolled_back(connection, decider.name, decider.version, versions)) is not None:
            return f"{what} does not become {rule.alias}: `walt rollback` took that from it ({note['reason']})."
        if (why := taken_down(connection, versions)) is not None:
            return f"{what} does not become {rule.alias}: {why}; `dvc repro` trains without it."
        first = taken_down(connection, aliased)
    champion = None if first else _Champion.find(connection, rule.alias, aliased, next(iter(folders)))
    to_beat = None if champion is None else _figures_to_beat(config, root, connection, champion, figures, measure)
    if _has_moved(connection, rule.alias, aliased):
        return promote(config, rule, root, folders, evaluation, measure)
    with server.errors():
        decision = promotion.decide(rule, figures, to_beat, decider.aliased, first or "it is the first")
        said = f"{what} {'becomes' if decision.better else 'does not become'} {rule.alias}: {decision.reason}."
        _keep(connection, rule, members, decision, figures, to_beat, digests)
        if decision.better:
            keep_release(connection, root, versions, aliased)
            _move_alias(connection, rule.alias, members, figures, digests, left=set(aliased) - set(folders))
        note_decision(connection, digests, said)
    return said


def _has_moved(connection: server.Connection, alias: str, aliased: Mapping[str, str]) -> bool:
    """Whether another promotion, or a person, moved the alias: what was compared is not what has to be beaten then."""
    with server.errors():
        moved = aliased_release(connection, alias) != aliased
    if moved:
        info(f"{alias} has moved while this was decided: it is decided again")
    return moved


def _figures(rule: PromotionRule, evaluation: Evaluation) -> dict[str, Figure]:
    """The figures that the rule needs."""
    found = evaluation["figures"]
    for key, name in rule.metrics.items():
        if name not in found:
            hint = did_you_mean(name, found, "it has none", cutoff=0.3)
            raise ConfigurationError(f"promotion.{key}: the evaluation has no '{name}'{hint}")
    return {name: Figure.from_json(found[name]) for name in rule.metrics.values()}


def _member(connection: server.Connection, rule: PromotionRule, name: str, folder: Path, digest: str) -> _Member:
    """The version of the model that was evaluated. Raises ConfigurationError: the folder has another one by now."""
    full_name = f"{connection.model_prefix}-{name}"
    version = server.find_version(connection, full_name, digest)
    if version is None:
        version = server.register(connection, None, folder, name)
        if version != server.find_version(connection, full_name, digest):
            raise ConfigurationError(f"{folder}: it was replaced meanwhile: run `dvc repro` before `walt promote`")
    return _Member(full_name, version, _alias_of(connection, full_name, rule.alias))


def aliased_release(connection: server.Connection, alias: str) -> dict[str, str]:
    """The release with the alias: short name of each model -> its version; empty where nothing has it."""
    found = {}
    for name in MODEL_ARTIFACTS:
        full_name = f"{connection.model_prefix}-{name}"
        registered = connection.client.search_registered_models(f"name = '{full_name}'", max_results=1)
        version = _alias_of(connection, full_name, alias) if registered else None
        if version is not None:
            found[name] = version
    return found


def _alias_of(connection: server.Connection, full_name: str, alias: str) -> str | None:
    aliases = connection.client.get_registered_model(full_name).aliases
    return str(aliases[alias]) if alias in aliases else None


@dataclass(frozen=True)
class _Champion:
    """The release that has the alias."""

    name: str
    """The full name of its deciding model."""
    version: str
    digests: Mapping[str, str]
    """Short name -> digest, of all its models."""
    figures: Figures
    """Those that are kept with it."""

    @classmethod
    def find(
        cls, connection: server.Connection, alias: str, aliased: Mapping[str, str], decider: str
    ) -> _Champion | None:
        """As the deciding model's version says; the other aliases may be about to move, if a promotion broke off.

        Raises:
            ConfigurationError: that version was never evaluated, and so says nothing.
        """
        if decider not in aliased:
            return None
        with server.errors():
            name, version = f"{connection.model_prefix}-{decider}", aliased[decider]
            text = connection.client.get_model_version(name, version).tags.get(MEASURED_TAG)
        if text is None:
            raise ConfigurationError(
                f"{name} version {version} has the alias {alias} by hand: it was never evaluated, so it is not known "
                "which models it goes with; in MLflow, give the alias to a version that was promoted, or take it away"
            )
        digest = (kept := releases.tag_mapping(text)).pop(KEY, None)
        if digest == sha256_json(kept):
            figures = {name: Figure.from_json(value) for name, value in kept["figures"].items()}
            return cls(name, version, kept["models"], figures)
        # edited in MLflow, or of an earlier version: measured again
        models = (digest is None and releases.measured_models(text)) or digests_of(connection, aliased)
        return cls(name, version, models, {})


def digests_of(connection: server.Connection, versions: Mapping[str, str]) -> dict[str, str]:
    """Short name -> digest, of these versions."""
    with server.errors():
        found = {
            name: connection.client.get_model_version(f"{connection.model_prefix}-{name}", version).tags
            for name, version in versions.items()
        }
    return {name: str(tags.get(server.DIGEST_TAG)) for name, tags in found.items()}


def _figures_to_beat(
    config: TrackingConfig,
    root: Path,
    connection: server.Connection,
    champion: _Champion,
    new: Figures,
    measure: Measure,
) -> Figures:
    """What the release with the alias reaches on what the new one was measured on: kept, or measured now.

    Raises:
        ConfigurationError: one of its models is gone.
    """

    def comparable(old: Figures) -> bool:
        return not any(
            promotion.not_comparable(name, figure, old.get(name), champion.version) for name, figure in new.items()
        )

    if comparable(champion.figures):
        return champion.figures
    info(f"{champion.name} version {champion.version} is measured again, on what the new one was measured on")
    keep = Paths(root).work("promote") / "fetched"
    folders = {}
    for name, digest in champion.digests.items():
        full_name = f"{connection.model_prefix}-{name}"
        with server.errors():
            version = server.find_version(connection, full_name, digest)
        if version is None:
            raise ConfigurationError(
                f"{champion.name} version {champion.version} was evaluated with a version of {full_name} that is gone: "
                "it cannot be measured again; in MLflow, give the alias to another version, or take it away"
            )
        folders[name] = given_model(config, root, f"models:/{full_name}/{version}", keep / name).folder
    evaluation = measure(folders)
    if evaluation["models"] != champion.digests:
        raise CorruptArtifactError(
            f"{champion.name} version {champion.version}: other models than it has were measured"
        )
    old = {name: Figure.from_json(evaluation["figures"][name]) for name in new if name in evaluation["figures"]}
    with server.errors():
        keep_measured(connection, champion.name, champion.version, old, champion.digests)
    return old


def _keep(
    connection: server.Connection,
    rule: PromotionRule,
    members: list[_Member],
    decision: Decision,
    new: Figures,
    old: Figures | None,
    digests: Mapping[str, str],
) -> None:
    """Store the decision with every version that it is about: those that do not have the alias yet."""
    plain = {
        "becomes": rule.alias if decision.better else None,
        "reason": decision.reason,
        "rule": rule.model_dump(mode="json"),
        "against": members[0].aliased,
        "new": {name: _short(figure) for name, figure in new.items()},
        "old": {name: _short(figure) for name, figure in (old or {}).items()},
        "differences": {name: asdict(found) for name, found in decision.differences.items()},
        "models": dict(digests),
    }
    for member in members:
        if member.version != member.aliased:
            text = json.dumps(plain, sort_keys=True)
            connection.client.set_model_version_tag(member.name, member.version, DECISION_TAG, text)
            for name, figure in new.items():
                connection.client.set_model_version_tag(member.name, member.version, METRIC_TAG + name, str(figure))
    if members[0].version != members[0].aliased:  # else what it has belongs to the release with the alias
        keep_measured(connection, members[0].name, members[0].version, new, digests)


def _short(figure: Figure) -> dict[str, Any]:
    """Without the replicates."""
    return {name: value for name, value in figure.as_json().items() if name != "replicates"}


def _move_alias(
    connection: server.Connection,
    alias: str,
    members: list[_Member],
    figures: Figures,
    digests: Mapping[str, str],
    left: set[str],
) -> None:
    """Give the alias to a whole release, and take it from models that are not part of it.

    The decider comes last: until it has its figures and the alias, the same question gets the same answer.
    """
    for name in left:
        connection.client.delete_registered_model_alias(f"{connection.model_prefix}-{name}", alias)
    decider, *others = members
    for member in others:
        connection.client.set_registered_model_alias(member.name, alias, member.version)
    keep_measured(connection, decider.name, decider.version, figures, digests)
    connection.client.set_registered_model_alias(decider.name, alias, decider.version)
