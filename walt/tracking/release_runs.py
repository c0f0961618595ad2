"""One MLflow run for each evaluated release: figure and cause in one row, with the stages' runs below it.

MLflow's table and its compare view show runs side by side. A release's run holds what one wants to compare there: the
figures of its evaluation with their intervals, what its trainings reached (``train/base/loss``), every setting of the
evaluation, the sampling and the trainings (``base.training.optimizer.learning_rate``), the versions of its models, its
data, and the sample videos, under the same names for every release. The same models evaluated with other settings are
another run: their figures are not to be compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from walt.core.digests import sha256_json
from walt.tracking import server, stored_runs
from walt.tracking.curves import log_new_values
from walt.tracking.paging import all_of
from walt.tracking.releases import METRIC_TAG
from walt.tracking.spool import Record

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

STAGE = "release"
"""The tag ``stage`` of such a run."""
RELEASE_TAG = "walt.release"
"""On a release's run and on those below it: which models and settings."""
MODELS_TAG = "walt.models"
"""On a release's run: one digest of its models."""
DIGESTS_TAG = "walt.digests"
"""On a release's run (JSON): name of each of its models without the prefix -> digest of its files."""
FIGURES_TAG = "walt.figures"
"""On a release's run (JSON): metric -> value and interval as text; metric -> digest of what it was measured on."""
EVALUATION_TAG = "walt.evaluation"
"""On an evaluation's run: the digest of the ``results/evaluation.json`` that it made."""
EVALUATED_TAG = "walt.evaluated"
"""On an evaluation's run: one digest of its models."""
DECISION_TAG = "promotion"
"""On a release's run: the sentence that ``walt promote`` said of it."""
PARENT_TAG, NOTE_TAG = "mlflow.parentRunId", "mlflow.note.content"
_ID_LENGTH = 12
_PROTOCOL = "protocol"  # as walt.core.figures has it, on which no training is to depend through this module
_PREFIX = "train/"


def release_record(
    models: Mapping[str, str],
    settings: Mapping[str, Any],
    figures: Mapping[str, tuple[float, str, str]],
    inputs: Mapping[str, str],
    samples: Path,
    timestamp: int,
    evaluation: str,
) -> Record:
    """What ``write_release`` needs.

    Args:
        models: name in the registry without the prefix -> digest of its files; the deciding one first.
        settings: of the evaluation and the sampling, nested.
        figures: metric -> (value, the value with its interval as text, a digest of what it was measured on).
        inputs: what the evaluation read -> hash, for MLflow's data sets.
        samples: a folder of sample videos and of a picture of each, whose names are the same for every release.
        evaluation: the digest of the file with the figures.
    """
    return {
        "kind": "release",
        "models": dict(models),
        "settings": dict(settings),
        "figures": {name: list(figure) for name, figure in figures.items()},
        "inputs": dict(inputs),
        "path": str(samples),
        "timestamp": timestamp,
        "evaluation": evaluation,
    }


def models_digest(models: Mapping[str, str]) -> str:
    """The value of ``MODELS_TAG``."""
    return sha256_json(dict(models))


def write_release(connection: server.Connection, run_id: str, record: Record) -> str:
    """Make the release's run, or find it, and fill it; put the evaluation and the trainings below it; say on the model
    versions what they reached. Doing it twice changes nothing. Returns the id of the release's run.

    Args:
        run_id: of the evaluation.
    """
    client, models = connection.client, record["models"]
    identity = sha256_json([models, record["settings"], record["inputs"]])[:_ID_LENGTH]
    versions = _versions(connection, models)
    trainings = {name: client.get_run(version.run_id) for name, version in versions.items() if version.run_id}
    parent = _find_or_make(connection, identity, record, versions)
    stored_runs.log_inputs(client, parent, record["inputs"], "evaluation")
    settings = dict(record["settings"])
    for name, training in trainings.items():
        settings |= {f"{name}.{key}": value for key, value in training.data.params.items()}
    numbers = {f"{connection.model_prefix}-{name}": version.version for name, version in versions.items()}
    for target in (parent, run_id):
        stored_runs.log_missing_params(connection, target, {**settings, "models": numbers})
        for name, number in numbers.items():
            client.set_tag(target, f"version.{name}", number)
        client.set_tag(target, RELEASE_TAG, identity)
    if "evaluation" in record:  # what an earlier version kept on disk has none
        client.set_tag(run_id, EVALUATION_TAG, record["evaluation"])
        client.set_tag(run_id, EVALUATED_TAG, models_digest(models))
    values = {name: figure[0] for name, figure in record["figures"].items()}
    for name, training in trainings.items():
        values |= {f"{_PREFIX}{name}/{key}": value for key, value in _reached(training).items()}
    log_new_values(client, parent, values, record["timestamp"])
    _log_samples(connection, parent, record)
    measured_on = {name: record["figures"][name][2] for name in _figures(record)}
    client.set_tag(parent, FIGURES_TAG, json.dumps([_figures(record), measured_on], sort_keys=True))
    client.set_tag(parent, DIGESTS_TAG, json.dumps(models))
    client.set_tag(parent, NOTE_TAG, _note(connection, versions, record))
    client.set_tag(run_id, PARENT_TAG, parent)
    for training in trainings.values():
        if PARENT_TAG not in training.data.tags:  # a model may be part of later releases too
            client.set_tag(training.info.run_id, PARENT_TAG, parent)
    _describe_versions(connection, versions, trainings, record, identity)
    client.set_terminated(parent, "FINISHED", end_time=record["timestamp"])
    return parent


def note_decision(connection: server.Connection, models: Mapping[str, str], sentence: str) -> None:
    """Write what was decided about a release on its runs, where MLflow has any."""
    query = f"tags.`{MODELS_TAG}` = '{models_digest(models)}'"
    for run in all_of(connection.client.search_runs, [connection.experiment_id], query):
        connection.client.set_tag(run.info.run_id, DECISION_TAG, sentence)


@dataclass(frozen=True)
class ReleaseRun:
    """What MLflow has of a release."""

    run_id: str
    name: str
    params: Mapping[str, str]
    """All settings, flat."""
    figures: Mapping[str, str]
    """Metric -> value and interval."""
    measured_on: Mapping[str, str]
    """Metric -> digest of what it was measured on: only figures with the same are to be compared."""
    decision: str
    """What ``walt promote`` said of it; empty where it was not asked."""
    models: Mapping[str, str]
    """Name of each model without the prefix -> digest; empty in a run of an earlier version."""
    together: str
    """One digest of these."""

    @property
    def versions(self) -> dict[str, str]:
        """Full name of each registered model -> its version."""
        begins = "models."
        return {key.removeprefix(begins): value for key, value in self.params.items() if key.startswith(begins)}


def find_release(connection: server.Connection, tag: str, value: str) -> ReleaseRun | None:
    """The newest release's run that has this tag: ``RELEASE_TAG``, ``MODELS_TAG`` or ``version.<model>``."""
    found = connection.client.search_runs(
        [connection.experiment_id], f"tags.stage = '{STAGE}' and tags.`{tag}` = '{value}'", max_results=1,
        order_by=["attribute.start_time DESC"],
    )  # fmt: skip
    if not found:
        return None
    run, tags = found[0], found[0].data.tags
    figures, measured_on = json.loads(tags.get(FIGURES_TAG, "[{}, {}]"))
    return ReleaseRun(
        str(run.info.run_id), str(run.info.run_name), run.data.params, figures, measured_on,
        tags.get(DECISION_TAG, ""), json.loads(tags.get(DIGESTS_TAG, "{}")), tags.get(MODELS_TAG, ""),
    )  # fmt: skip


def _versions(connection: server.Connection, models: Mapping[str, str]) -> dict[str, Any]:
    """MLflow's entries of the models' versions; one that could not be registered yet is left out."""
    found = {}
    for name, digest in models.items():
        full_name = f"{connection.model_prefix}-{name}"
        number = server.find_version(connection, full_name, digest)
        if number is not None:
            found[name] = connection.client.get_model_version(full_name, number)
    return found


def _find_or_make(connection: server.Connection, identity: str, record: Record, versions: Mapping[str, Any]) -> str:
    client = connection.client
    query = f"tags.`{RELEASE_TAG}` = '{identity}' and tags.stage = '{STAGE}'"
    if found := client.search_runs([connection.experiment_id], query, max_results=1):
        return str(found[0].info.run_id)
    first = next(iter(record["models"]))
    number = f" {connection.model_prefix}-{first}/{versions[first].version}" if first in versions else ""
    tags = {
        "stage": STAGE,
        RELEASE_TAG: identity,
        MODELS_TAG: models_digest(record["models"]),
        "mlflow.source.name": "walt evaluate",
        "mlflow.source.type": "LOCAL",
    }
    run = client.create_run(
        connection.experiment_id, start_time=record["timestamp"], tags=tags, run_name=f"release{number}"
    )
    return str(run.info.run_id)


def _reached(training: MlflowRun) -> dict[str, float]:
    """A training's last values, without bands, rates and the machine's load."""
    return {
        name: value
        for name, value in training.data.metrics.items()
        if not name.startswith("system/") and "/band_" not in name and name not in ("lr", "grad_norm")
    }


def _log_samples(connection: server.Connection, parent: str, record: Record) -> None:
    """The videos and pictures as files in no folder, since MLflow's compare view shows no others (3.17)."""
    client, folder = connection.client, Path(record["path"])
    known = {(file.path, file.file_size) for file in client.list_artifacts(parent)}
    for file in sorted(folder.iterdir()):
        if (file.name, file.stat().st_size) not in known:  # or half of it is there
            client.log_artifact(parent, str(file))
    for picture in sorted(folder.glob("*.png")):
        stored_runs.log_picture(client, parent, picture, f"samples/{picture.stem}", 0, record["timestamp"])


def _note(connection: server.Connection, versions: Mapping[str, Any], record: Record) -> str:
    """The release's run in plain words (MLflow renders Markdown)."""
    names = ", ".join(_named(connection, name, version) for name, version in versions.items())
    figures = "\n".join(f"- {name}: {text}" for name, text in _figures(record).items())
    protocol = f"Protocol: {said}.\n\n" if (said := record["settings"].get(_PROTOCOL)) else ""
    return (
        f"Models that were evaluated together: {names or 'none of them is registered yet'}.\n\n{figures}\n\n{protocol}"
        "In brackets: intervals of 95 %. The sample videos among the files have the same prompts and seeds in every "
        "release that was evaluated with the same settings. The runs of the stages are below this one."
    )


def _describe_versions(
    connection: server.Connection,
    versions: Mapping[str, Any],
    trainings: Mapping[str, MlflowRun],
    record: Record,
    identity: str,
) -> None:
    """A description of each version in plain words, and the figures as tags of those that have no alias: what has one
    carries the figures by which it got it."""
    figures = _figures(record)
    reached = "; ".join(f"{metric} {text}" for metric, text in figures.items())
    for name, version in versions.items():
        others = ", ".join(_named(connection, other, versions[other]) for other in versions if other != name)
        said = [f"Part of the release {identity}{f', with {others}' if others else ''}."]
        if name in trainings:
            said.append(_trained(trainings[name]))
        by = f"By the protocol {record['settings'][_PROTOCOL]}, in" if _PROTOCOL in record["settings"] else "In"
        said.append(f"{by} brackets intervals of 95 %, its release reached: {reached}.")
        full_name = f"{connection.model_prefix}-{name}"
        connection.client.update_model_version(full_name, version.version, " ".join(said))
        for metric, text in figures.items() if not version.aliases else ():
            connection.client.set_model_version_tag(full_name, version.version, METRIC_TAG + metric, text)


def _named(connection: server.Connection, name: str, version: Any) -> str:
    return f"{connection.model_prefix}-{name} version {version.version}"


def _figures(record: Record) -> dict[str, str]:
    """Metric -> value and interval, without the bands."""
    return {name: figure[1] for name, figure in record["figures"].items() if "/band_" not in name}


def _trained(training: MlflowRun) -> str:
    """How a version came about, in a sentence."""
    params, tags = training.data.params, training.data.tags
    steps = params.get("training.steps")
    commit = f" by the code of commit {tags['git.commit'][:12]}" if "git.commit" in tags else ""
    return f"Trained{f' for {steps} steps' if steps else ''}{commit} in the run '{training.info.run_name}'."
