"""Run one stage: its sections of the parameters, its lock, its result. The command line is the only caller."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from walt.core.config import load_section
from walt.core.errors import ConfigurationError, StorageError
from walt.core.lock_scope import option_of_local_locks
from walt.core.log import warning
from walt.core.paths import ARTIFACTS, Paths
from walt.core.storage import (
    check_folder_writable,
    clean_beside,
    clean_temporary,
    lock,
    real_directory,
    storage_errors,
    write_json,
)
from walt.project.devices import count_ranks, spreads
from walt.project.extractor_fit import check_evaluated_form
from walt.project.in_process import run_here
from walt.project.lineage_events import stage_events
from walt.project.not_asked_for import prepare_inputs
from walt.project.params import Params
from walt.project.recorded_outputs import record_outputs
from walt.project.registry import Stage
from walt.tracking.trained_on import SOURCES_FOLDER
from walt.training.set_aside import set_all_aside

PARAMS_FILE = "params.yaml"
IF_MISSING = "`walt init --update` adds the keys that this version has and the file lacks, with their defaults"


def load_params(root: Path) -> Params:
    """Read the project's ``params.yaml``. Raises ConfigurationError, one line that names the key."""
    if not (root / PARAMS_FILE).is_file():
        raise ConfigurationError(f"{root / PARAMS_FILE}: no such file; {_where_it_is(root)}")
    return load_section(root / PARAMS_FILE, Params, if_missing=IF_MISSING)


def _where_it_is(root: Path) -> str:
    """What to do without a ``params.yaml``: to go to the project that this folder is a part of, or to make one."""
    for folder in root.resolve().parents:
        if (folder / PARAMS_FILE).is_file() and (folder / "dvc.yaml").is_file():
            return f"the project that this folder is in is {folder}: go there"
    return "`walt init` writes it"


def run_stage(stage: Stage, root: Path, choice: Literal["go-on", "afresh"] | None = None) -> dict[str, Any]:
    """Run a stage of the project at ``root`` and return its figures, also kept in ``work/<stage>/result.json``.

    On several devices, of this machine or of several, it runs in as many processes; this one holds the lock and waits
    for them.

    Args:
        choice: of a stage that trains, instead of what ``resume.if_different`` says: go on from a checkpoint of a run
            with another result, or set all checkpoints aside whether or not something differs.

    Raises:
        ConfigurationError: parameters that decide the result were changed while it ran.
        WaltError: with the exit status that says what kind of failure it was.
    """
    params = load_params(root)
    if stage.resumes or stage.name == "sample":  # a training may take weeks: what it is for must be possible
        check_evaluated_form(params, root)
    paths = Paths(root)
    with lock(paths.work(stage.name) / "lock"):
        if option := option_of_local_locks(paths.work(stage.name)):
            warning(f"{stage.name}: locks hold on this machine alone ({option}): start it on no other one meanwhile")
        _tidy(stage, paths)
        return _run_locked(stage, params, root, choice)


def _tidy(stage: Stage, paths: Paths) -> None:
    """Remove what starts of this stage left half written that were killed, which may be as large as its outputs.

    Raises:
        StorageError: an output cannot be written, which a training would find out at its end.
    """
    work = paths.work(stage.name)
    with storage_errors(work):
        for name in stage.outputs:
            output = paths.root / ARTIFACTS[name]
            if not output.suffix:  # a file that is a link, as into DVC's cache, is replaced
                output = real_directory(output)
            check_folder_writable(output.parent)
            if output.suffix and output.is_dir():
                raise StorageError(f"{output}: a folder is where a file is to be: move it away")
            if output.exists() and not output.suffix:
                check_folder_writable(output)
            clean_beside(output)
        for folder in (work, work / SOURCES_FOLDER):
            clean_temporary(folder)


def _run_locked(stage: Stage, params: Params, root: Path, choice: Literal["go-on", "afresh"] | None) -> dict[str, Any]:
    paths = Paths(root)
    with stage_events(stage, params, root):
        prepare_inputs(stage, params, paths)
        result = _run(stage, _with_choice(params, choice), root, choice == "afresh")
        _check_unchanged(stage, params, root)
        write_json(paths.work(stage.name) / "result.json", result)
        record_outputs(stage, paths)
    return result


def _check_unchanged(stage: Stage, params: Params, root: Path) -> None:
    """DVC notes the parameters as they are when a stage has ended: they must be those that it was run with."""
    now = load_params(root)
    changed = [section for section in stage.params if getattr(now, section) != getattr(params, section)]
    if changed:
        raise ConfigurationError(
            f"{PARAMS_FILE} was changed while {stage.name} ran ({', '.join(changed)}): what it made is of the values "
            "before, and does not count as finished; run it again"
        )


def _run(stage: Stage, params: Params, root: Path, afresh: bool) -> dict[str, Any]:
    """Run the stage on what it uses: this process, several of this machine, or several machines."""

    def begin() -> None:  # when it is clear that it can run there
        if afresh:
            set_all_aside(Paths(root).work(stage.name), "asked for by --afresh")

    if params.compute.nodes > 1 and spreads(stage, params):
        from walt.project.cluster import launch_on_cluster  # here: one device needs nothing of it

        return launch_on_cluster(stage, params, root, begin)
    count = count_ranks(stage, params)
    begin()
    if count == 1:
        return run_here(stage, params, root)
    from walt.project.launcher import launch

    return launch(stage, params, root, count)


def _with_choice(params: Params, choice: Literal["go-on", "afresh"] | None) -> Params:
    if choice is None:
        return params
    return params.model_copy(update={"resume": params.resume.model_copy(update={"if_different": choice})})
