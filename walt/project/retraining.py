"""A retraining goes on from the release with the alias: whether it is worth it, and the settings while it runs.

``begin`` counts clips and, where the rule of section ``retrain`` asks for it, writes the settings of the retraining
into ``params.yaml``, which DVC watches. ``end`` leaves them there where the new release took the alias, since its
models were made with them, and else puts the file back; so does ``restore``, after a retraining that broke off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from walt.core.config import parse_section, yaml_data
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.log import warning
from walt.core.own_digest import check_parquet
from walt.core.paths import Paths
from walt.core.storage import read_json, replace_file, write_bytes, write_json
from walt.core.transformers import TRANSFORMERS
from walt.project.params import Params
from walt.project.runner import PARAMS_FILE, load_params
from walt.project.yaml_values import Plain, with_values
from walt.tracking import server
from walt.tracking.models import aliased_release
from walt.tracking.release_record import CLIPS_FILE, fetch_release, read_release, taken_down

PLAN_FILE = "plan.json"
_BEFORE, _WRITTEN = "params.before.yaml", "params.written.yaml"
_TRIED, _TRIED_NOTE = "tried.parquet", "tried.json"
_DECIDER, _RESUME = "base", "resume.if_different"


@dataclass(frozen=True)
class Plan:
    """What ``begin`` found."""

    go: bool
    """Whether to retrain."""
    said: str
    """One line for people: how many clips are new, and what follows."""
    champion: Mapping[str, str]
    """Name of each model that has the alias -> its version; empty where nothing has it."""
    settings: Mapping[str, Plain]
    """Dotted keys of ``params.yaml`` and their values while it runs."""


def begin(root: Path) -> Plan:
    """Count the clips that are new, and begin a retraining where they are enough. The clips must be up to date.

    Raises:
        ConfigurationError: the settings do not fit ``params.yaml``, or the release to go on from was made with a source
            that was taken down since; ``params.yaml`` stays as it was.
        StorageError: there are no clips yet, or MLflow cannot be reached.
        CorruptArtifactError: a table of clips is damaged.
    """
    restore(root)
    params = load_params(root)
    with server.errors():
        connection = server.connect(params.tracking, root)
        champion = aliased_release(connection, params.promotion.alias)
        why_not = taken_down(connection, champion)
    if why_not is not None:
        raise ConfigurationError(
            f"{why_not}, and a retraining goes on from it: with all initial_weights and frozen null in {PARAMS_FILE}, "
            "`dvc repro` and `walt promote` make a release without it"
        )
    if _DECIDER not in champion:
        said = f"no release is {params.promotion.alias} yet: everything is made as params.yaml says"
        plan = Plan(True, said, {}, {})
    else:
        known = _known(connection, root, champion)
        plan = _plan_against(params, root, champion, known)
    if plan.go and plan.settings:
        _write_settings(root, plan.settings)
    write_json(_work(root) / PLAN_FILE, asdict(plan))
    return plan


def end(root: Path) -> str:
    """After the promotion was decided: keep the settings of the retraining, or put ``params.yaml`` back; what was done.

    Raises:
        ConfigurationError: no retraining has begun.
        StorageError: MLflow cannot be reached.
    """
    work, params = _work(root), load_params(root)
    if not (work / PLAN_FILE).is_file():
        raise ConfigurationError(f"{work / PLAN_FILE}: no such file; no retraining has begun")
    plan = Plan(**read_json(work / PLAN_FILE))
    with server.errors():
        champion = aliased_release(server.connect(params.tracking, root), params.promotion.alias)
    if champion.get(_DECIDER) != plan.champion.get(_DECIDER):
        _keep_settings(root)
        kept = ": params.yaml keeps the settings that it was made with" if plan.settings else ""
        return f"the new release is {params.promotion.alias}{kept}"
    if plan.champion:
        write_bytes(work / _TRIED, (Paths(root).clips / CLIPS_FILE).read_bytes())
        write_json(work / _TRIED_NOTE, {"champion": plan.champion[_DECIDER]})
    restore(root)
    return f"{params.promotion.alias} stays as it was: params.yaml is as before"


def restore(root: Path) -> None:
    """Put ``params.yaml`` back as it was before a retraining that has not come to its end; else nothing happens."""
    before, written = _work(root) / _BEFORE, _work(root) / _WRITTEN
    if before.is_file() and written.is_file():
        now = (root / PARAMS_FILE).read_bytes()
        if now == written.read_bytes():
            replace_file(root / PARAMS_FILE, before.read_bytes())
        elif now != before.read_bytes():
            kept = before.with_suffix(".kept")
            before.replace(kept)
            warning(f"{PARAMS_FILE} was edited while a retraining ran, and stays; as it was before, it is in {kept}")
    for file in (written, before):
        file.unlink(missing_ok=True)


def cycle_settings(params: Params, champion: Mapping[str, str]) -> dict[str, Plain]:
    """The settings of a retraining, by their dotted keys.

    Args:
        champion: name of each model of the release, without the prefix -> its version.
    """
    prefix = params.tracking.model_prefix
    settings: dict[str, Plain] = {_RESUME: "afresh"}  # what an earlier challenger left is of no use to this one
    for transformer in TRANSFORMERS:
        used = transformer.name in params.transformers() and transformer.starts_from is None
        if used and transformer.version_name in champion:
            name = f"{prefix}-{transformer.version_name}"
            settings[f"{transformer.training}.initial_weights"] = f"models:/{name}/{champion[transformer.version_name]}"
            settings[f"{transformer.training}.steps"] = params.retrain.steps
    if params.retrain.freeze_autoencoder and "autoencoder" in champion:
        settings["train_autoencoder.frozen"] = f"models:/{prefix}-autoencoder/{champion['autoencoder']}"
        settings["train_autoencoder.initial_weights"] = None
    if params.text is not None and params.text.encoder == "tiny" and "text-encoder" in champion:
        settings["text.tiny.frozen"] = f"models:/{prefix}-text-encoder/{champion['text-encoder']}"
    return settings


def count_new(keys: pa.Array, known: pa.Array) -> int:
    """How many keys are not among the known ones."""
    return len(keys) - int(pc.sum(pc.is_in(keys, known)).as_py() or 0)


def _plan_against(
    params: Params, root: Path, champion: Mapping[str, str], known: tuple[pa.Array, pa.Array] | None
) -> Plan:
    present = _training_keys(Paths(root).clips / CLIPS_FILE)
    alias, version = params.promotion.alias, champion[_DECIDER]
    settings = cycle_settings(params, champion)
    if known is None:
        said = f"what version {version}, the {alias}, was trained on is not recorded: all {len(present)} clips are new"
        return Plan(True, said, champion, settings)
    trained_on, tried = known
    new = count_new(present, pa.concat_arrays([trained_on, tried]))
    gone = count_new(trained_on, present)
    wanted = params.retrain.wanted(len(trained_on))
    said = f"{new} new clips{f' ({gone} are gone)' if gone else ''}, the rule wants {wanted}"
    if new < wanted:
        return Plan(False, f"{said}: nothing to do", champion, {})
    return Plan(True, f"{said}: the models go on from version {version}, the {alias}", champion, settings)


def _known(connection: server.Connection, root: Path, champion: Mapping[str, str]) -> tuple[pa.Array, pa.Array] | None:
    """Keys of the clips that the release was trained on, and of those that a challenger had which lost against it; None
    where the former are not recorded."""
    work, name, version = _work(root), f"{connection.model_prefix}-{_DECIDER}", champion[_DECIDER]
    with server.errors():
        if read_release(connection, name, version, champion) is None:
            return None
        fetch_release(connection, name, version, work / "champion", champion)
    table = work / "champion" / CLIPS_FILE
    if not table.is_file():
        return None
    note = read_json(work / _TRIED_NOTE) if (work / _TRIED_NOTE).is_file() else {}
    tried = _training_keys(work / _TRIED) if note.get("champion") == version else pa.array([], pa.string())
    return _training_keys(table), tried


def _training_keys(table: Path) -> pa.Array:
    """Keys of the training split, from a table of clips."""
    if not table.is_file():
        raise ConfigurationError(f"{table}: no such file; run `dvc repro ingest` first")
    check_parquet(table)
    try:
        with pq.ParquetFile(table) as file:
            found = file.read(["key", "split"])
    except (pa.ArrowException, OSError) as error:
        raise CorruptArtifactError(f"{table}: {str(error).splitlines()[0]}") from error
    keys = found["key"].filter(pc.equal(found["split"], "train"))
    return keys.cast(pa.string()).combine_chunks() if len(keys) else pa.array([], pa.string())


def _write_settings(root: Path, settings: Mapping[str, Plain]) -> None:
    before = (root / PARAMS_FILE).read_bytes()
    text = with_values(before.decode(), settings, PARAMS_FILE)
    data: dict[str, Any] = yaml_data(text)
    parse_section(data, Params, f"{PARAMS_FILE}, with the settings of a retraining")
    write_bytes(_work(root) / _BEFORE, before)
    write_bytes(_work(root) / _WRITTEN, text.encode())
    replace_file(root / PARAMS_FILE, text.encode())


def _keep_settings(root: Path) -> None:
    """All but what is to become of checkpoints, which is the user's to say."""
    before = _work(root) / _BEFORE
    if before.is_file():
        data: dict[str, Any] = yaml_data(before.read_text(encoding="utf-8"))
        text = (root / PARAMS_FILE).read_text(encoding="utf-8")
        text = with_values(text, {_RESUME: data["resume"]["if_different"]}, PARAMS_FILE)
        replace_file(root / PARAMS_FILE, text.encode())
    for name in (_WRITTEN, _BEFORE):
        (_work(root) / name).unlink(missing_ok=True)


def _work(root: Path) -> Path:
    return Paths(root).work("retrain")
