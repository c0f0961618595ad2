"""The flow ``walt``: bring one stage, and all that it needs, up to date; on request, promote the new model.

DVC decides what is stale; the flow decides when to ask, shows what happens, repeats what failed for lack of storage,
and stops everything on request. Stages run one after the other: two ``dvc repro`` at a time write the same lock
file, and on one machine they would only share its processors (docs/decisions/0001).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from prefect import flow, get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff
from pydantic import Field

from flows import artifacts, dvc_lock, schedules, set_up
from flows.deployments import RETRAIN
from flows.nothing_to_do import FRESH, stale_stages, status_command
from flows.processes import Ended, StageFailedError, run_command
from walt.core import storage
from walt.core.config import read_yaml
from walt.core.errors import ConfigurationError, StorageError
from walt.core.log import PROGRESS_FILE_VARIABLE
from walt.core.paths import Paths
from walt.core.stopping import STOPPING_FILE
from walt.core.suggestions import did_you_mean
from walt.project import retraining
from walt.project.recorded_outputs import LOCK_FILE
from walt.project.registry import STAGE_NAMES, Stage, stages_needed_for
from walt.sampling.samples import OVERVIEW
from walt.tracking import openlineage

RETRIES = {StorageError.exit_status: 4, 128 + signal.SIGKILL: 2}
"""Exit status -> how often a stage is started again, for what may be gone by then: storage or a connection that failed,
and a process that the system killed, for lack of memory or with its machine. A wrong setting, bad data and a training
that diverged stay as they are."""
RETRY_BACKOFF_SECONDS = 10.0
"""The first wait; each further one is twice as long: 10, 20, 40, 80 s."""

_RESTORED, _RAN = "restored from the cache", "ran"


def _may_be_gone(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Prefect asks this before a retry."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, StageFailedError) and run.run_count <= RETRIES.get(error.status, 0)


_guarded_task = task(
    retries=max(RETRIES.values()),
    retry_delay_seconds=exponential_backoff(RETRY_BACKOFF_SECONDS),
    retry_jitter_factor=0.2,
    retry_condition_fn=_may_be_gone,
    cache_policy=NO_CACHE,  # DVC knows what is fresh; Prefect's own cache could only be wrong
    persist_result=False,
)


Target = Annotated[str, Field(json_schema_extra={"enum": list(STAGE_NAMES)})]
"""A stage's name; the page offers them, and the server refuses others."""
Hours = Annotated[float, Field(gt=0)]


class TimeLimitError(Exception):
    """A flow run took longer than it may; the stage was stopped, and wrote a checkpoint where it has one."""


def run_name() -> str:
    """What a flow run is called: by what it is for."""
    parameters = runtime.flow_run.get_parameters()
    return RETRAIN if parameters.get("retrain") else str(parameters["target"])


@flow(name="walt", flow_run_name=run_name, persist_result=False)
def walt(
    target: Target = "report", promote: bool = False, retrain: bool = False, hours: Hours | None = None
) -> dict[str, str]:
    """Bring the stage ``target`` and everything it needs up to date, in the project of the current folder.

    Args:
        target: a stage; ``report`` is the last, and so means everything.
        promote: then give the model alias to the new model, if it is better by the rule in ``params.yaml``.
        retrain: look at the clips first: where fewer are new than ``params.yaml``'s section ``retrain`` asks for, that
            is all. Else models go on from the release with the alias, and are promoted if they are better.
        hours: after which the stage that runs is stopped, and the flow run fails; the next one goes on from there.
            None: no limit.

    Returns:
        What happened to each stage: up to date, restored from the cache, or ran. Without enough new clips, of the clips
        alone.

    Raises:
        ConfigurationError: no stage has that name.
        LockedError: another flow run, or DVC, works in this project.
        StageFailedError: a stage failed; its message says why.
        TimeLimitError: it took longer than ``hours``.
    """
    root = Path.cwd()
    until = None if hours is None else time.monotonic() + 3600 * hours
    stages = _stages_for(target)
    run_id = runtime.flow_run.get_id()
    if retrain and run_id is not None and schedules.was_overtaken(UUID(run_id)):
        get_run_logger().info("this was due while another run of this deployment was under way: nothing to do")
        return {}
    with storage.lock(Paths(root).flow_lock), _lineage_events(root, run_id):
        dvc_lock.check_free(root)
        if not retrain:
            prepare(root)
            return _whole(root, stages, promote, until)
        with _put_back_on_failure(root):
            prepare(root)
            clips = stages_needed_for("ingest")
            stale = find_stale(root, [stage.name for stage in clips])
            outcomes = _bring_up_to_date(root, clips, stale, until)
            if begin_retraining(root):
                ingest = {name: outcome for name, outcome in outcomes.items() if outcome != FRESH}
                outcomes = {**_whole(root, stages, True, until), **ingest}
                end_retraining(root)
            return outcomes


@contextmanager
def _lineage_events(root: Path, run_id: str | None) -> Iterator[None]:
    """For those who collect OpenLineage's events the stages of the block are parts of this flow run, under its id."""
    job = openlineage.Job("walt", "FLOW", "Bring a stage, and all that it needs, up to date.")
    own_id = None if run_id is None else UUID(run_id)
    with openlineage.run_events(root, job, tuple, tuple, run_id=own_id):
        yield


@contextmanager
def _put_back_on_failure(root: Path) -> Iterator[None]:
    """What a retraining writes into ``params.yaml`` does not outlive it, whatever ends it."""
    try:
        yield
    except BaseException:  # cancelling a flow run is none of Exception's
        retraining.restore(root)
        raise


def made_again(root: Path, stages: Sequence[Stage], stale: Sequence[str]) -> list[str]:
    """The stale stages whose outputs stay on disk and which ``dvc.lock`` knows: of another commit they may be whole in
    DVC's cache, which a first run's are not."""
    known = (read_yaml(root / LOCK_FILE).get("stages") or {}) if (root / LOCK_FILE).is_file() else {}
    return [stage.name for stage in stages if stage.persist and stage.name in stale and stage.name in known]


def _whole(root: Path, stages: Sequence[Stage], promote: bool, until: float | None) -> dict[str, str]:
    """Bring stages up to date, and promote their models where that is asked for; what happened to each stage."""
    logger = get_run_logger()
    stale = find_stale(root, [stage.name for stage in stages])
    logger.info("stale: %s", ", ".join(stale) if stale else "nothing; everything is up to date")
    if never_restored := made_again(root, stages, stale):
        logger.info(
            "%s: made again, never restored from DVC's run cache; if this is another commit than before, stop and "
            "run `dvc checkout` first",
            ", ".join(never_restored),
        )
    outcomes = _bring_up_to_date(root, stages, stale, until)
    if promote:
        promote_model(root)
    return outcomes


def _stages_for(target: str) -> tuple[Stage, ...]:
    if target not in STAGE_NAMES:
        hint = did_you_mean(target, STAGE_NAMES, f"there are {', '.join(STAGE_NAMES)}")
        raise ConfigurationError(f"target: no stage is called '{target}'{hint}")
    return stages_needed_for(target)


def _bring_up_to_date(root: Path, stages: Sequence[Stage], stale: Sequence[str], until: float | None) -> dict[str, str]:
    """Run the stages in order, from the first stale one on, until a moment of the clock; show how far it went."""
    outcomes: dict[str, str] = {}
    try:
        for stage in stages:
            # before the first stale stage nothing can have changed; after it, DVC is asked again for each
            if not outcomes and stage.name not in stale:
                continue
            named = run_stage.with_options(
                name=stage.name,
                task_run_name=stage.name,
                tags=["gpu"] if stage.gpus else [],
            )
            outcomes[stage.name] = "failed"
            outcomes[stage.name] = named(root, stage.name, stage.gpus > 0, until)
    finally:
        # a stage that is not in the table was not reached
        rows = "\n".join(f"| {name} | {outcome} |" for name, outcome in outcomes.items())
        if rows:
            table = f"| stage | outcome |\n|---|---|\n{rows}\n"
            artifacts.show_text("walt-summary", table, "What this flow run did", get_run_logger())
    return {stage.name: outcomes.get(stage.name, FRESH) for stage in stages}


@_guarded_task
def prepare(root: Path) -> None:
    """Make the dataset's source files, where its descriptor says how; a dataset that the user brings is left alone."""
    _run("prepare", ["walt", "prepare"], root)


@_guarded_task
def find_stale(root: Path, names: list[str]) -> list[str]:
    """Ask DVC which of these stages differ from what ``dvc.lock`` recorded, by content."""
    ended = _run("dvc status", status_command(names), root, quiet=True)
    stale = stale_stages(ended, names)
    if stale is None:
        raise StageFailedError("dvc status", Ended(1, ended.lines))
    return stale


@_guarded_task
def run_stage(root: Path, name: str, uses_accelerator: bool, until: float | None) -> str:
    """Run one stage with ``dvc repro``, until a moment of the clock at most; what happened to it."""
    logger = get_run_logger()
    with set_up.accelerator(uses_accelerator, logger):
        ended = _run(name, ["dvc", "repro", "--single-item", name], root, until=until)
    if any(line.startswith(f"Stage '{name}' didn't change") for line in ended.lines):
        return FRESH
    figures = Paths(root).work(name) / "result.json"
    if figures.is_file():
        artifacts.show_figures(name, storage.read_json(figures), logger)
    if name == "sample":
        artifacts.show_picture("samples", Paths(root).samples / OVERVIEW, "Videos that the models made", logger)
    if name == "report":
        artifacts.show_page("report", Paths(root).report, logger)
    restored = any(line.startswith(f"Stage '{name}' is cached") for line in ended.lines)
    return _RESTORED if restored else _RAN


@_guarded_task
def promote_model(root: Path) -> str:
    """Compare the newest model version with the one that has the alias; returns the sentence with the decision."""
    ended = _run("promote", ["walt", "promote"], root)
    decision = ended.lines[-1] if ended.lines else ""
    artifacts.show_text("promotion", decision, "Whether the new model version was promoted", get_run_logger())
    return decision


@_guarded_task
def begin_retraining(root: Path) -> bool:
    """Whether there are enough new clips by the rule; then ``params.yaml`` has the settings of the retraining."""
    _run("retrain", ["walt", "retrain"], root)
    plan = storage.read_json(Paths(root).work("retrain") / retraining.PLAN_FILE)
    said = str(plan["said"])
    artifacts.show_text("retraining", said, "Whether the models were trained again", get_run_logger())
    return bool(plan["go"])


@_guarded_task
def end_retraining(root: Path) -> None:
    """Keep the settings of a retraining whose models took the alias; else put ``params.yaml`` back."""
    _run("retrain", ["walt", "retrain", "--end"], root)


def _run(name: str, command: list[str], root: Path, quiet: bool = False, until: float | None = None) -> Ended:
    """Run a command to its end, its lines in the log and its progress in an artifact.

    Raises:
        StageFailedError: it failed.
        LockedError: DVC did not run it, since another one is at work.
        TimeLimitError: the clock passed ``until``; it was stopped.
    """
    logger = get_run_logger()
    file = root / "work" / "flow" / f"{name.replace(' ', '-')}.progress.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    progress = artifacts.ProgressArtifact(name, file, logger)

    def show(line: str) -> None:
        if not quiet:
            logger.info("%s", line)

    def tick() -> None:
        if until is not None and time.monotonic() > until:
            raise TimeLimitError(f"{name}: the time limit of this flow run has passed, so it is stopped")
        progress.update()

    extra = {PROGRESS_FILE_VARIABLE: str(file)}
    stopping = Paths(root).work(name) / STOPPING_FILE
    ended = run_command(command, root, extra, on_line=show, on_tick=tick, stopping_file=stopping)
    progress.update(last=True)
    if ended.status != 0:
        if dvc_lock.says_busy(ended.lines):
            dvc_lock.check_free(root)
        raise StageFailedError(name, ended)
    return ended
