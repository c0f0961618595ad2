"""The flow ``walt`` on a fake project: real DVC, real Prefect, stages that only copy a line of text."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import psutil
import pytest
from prefect import State
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import PrefectHTTPStatusError

from flows import pipeline, processes
from flows.pipeline import StageFailedError, TimeLimitError, walt
from flows.processes import Ended, command_environment
from flows.walt import main
from tests.support.fake_project import ROOT, behave, runs, use_own_dvc
from tests.support.openlineage import REASON, ask_for_file, read_events
from tests.support.warm import WarmCommand
from walt.core.errors import ConfigurationError, LockedError
from walt.core.storage import lock
from walt.project.registry import STAGE_NAMES, stages_needed_for

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]  # each takes a few seconds


def _newest_run() -> str:
    with get_client(sync_client=True) as client:
        [run] = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
    return run.name


def _artifacts(key: str) -> list[Artifact]:
    """All artifacts of that key, the newest last."""
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return sorted(found, key=lambda artifact: str(artifact.created))


def test_runs_what_is_needed_once_and_then_nothing(project: Path) -> None:
    earlier = {key: len(_artifacts(key)) for key in ("progress-ingest", "result-ingest")}  # of other tests' flows
    outcomes = walt("encode-text")
    assert outcomes == {"ingest": "ran", "caption": "ran", "encode-text": "ran"}
    assert (project / "data/text").read_text().startswith("data/text: data/manifest: first")
    assert runs(project, "train-base") == 0, "a stage that is not needed was run"

    progress = _artifacts("progress-ingest")[earlier["progress-ingest"] :]
    assert progress
    assert progress[0].data == 75.0
    assert progress[0].description == "ingest: 3/4 steps, 1.5 steps/s, 1 s left loss 0.1"
    figures = _artifacts("result-ingest")[earlier["result-ingest"] :]
    rows = figures[0].data if isinstance(figures[0].data, list) else json.loads(str(figures[0].data))
    assert rows == [{"figure": "loss", "value": 0.25}, {"figure": "clips/train", "value": 3}]

    assert walt("encode-text") == dict.fromkeys(("ingest", "caption", "encode-text"), "up to date")
    assert runs(project, "ingest") == runs(project, "encode-text") == 1


def test_new_changed_and_removed_sources_are_seen(project: Path) -> None:
    walt("ingest")
    (project / "source/b.txt").write_text("second\n")
    assert walt("ingest") == {"ingest": "ran"}
    (project / "source/b.txt").write_text("changed\n")
    assert walt("ingest") == {"ingest": "ran"}
    (project / "source/b.txt").unlink()
    assert walt("ingest") == {"ingest": "restored from the cache"}  # all is as it was at first
    assert runs(project, "ingest") == 3


def test_a_failing_stage_fails_the_flow_with_its_own_words_and_is_not_repeated(project: Path) -> None:
    behave(project, "encode-text", "exit 3")
    state: State[dict[str, str]] = walt("encode-text", return_state=True)
    assert state.is_failed()
    assert "encode-text ended with exit status 3: walt: the disk of encode-text is full" in (state.message or "")
    assert runs(project, "ingest") == 1
    assert runs(project, "encode-text") == 1
    assert "| encode-text | failed |" in str(_artifacts("walt-summary")[-1].data)


def test_the_direct_run_ends_with_1_when_a_stage_fails(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    behave(project, "ingest", "exit 5")
    try:
        assert main(["--target", "ingest"]) == 1
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "error: ingest ended with exit status 5: walt: the disk of ingest is full" in capsys.readouterr().err


@pytest.mark.parametrize(("answer", "status"), [(503, 4), (404, None)])
def test_a_server_that_stays_too_busy_ends_the_direct_run_in_a_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: int, status: int | None
) -> None:
    def walt(*_: object) -> None:
        request = httpx.Request("POST", "http://127.0.0.1:4200/api/task_runs/")
        raise PrefectHTTPStatusError(f"answer {answer}", request=request, response=httpx.Response(answer))

    monkeypatch.setattr(pipeline, "walt", walt)
    before = signal.getsignal(signal.SIGTERM)
    try:
        if status is None:
            with pytest.raises(PrefectHTTPStatusError):
                main(["--target", "ingest"])
        else:
            assert main(["--target", "ingest"]) == status
            assert "does not answer (answer 503); the stage that ran has ended" in capsys.readouterr().err
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("params.yaml", "condition_dropout", "condition_dropuot", "did you mean 'condition_dropout'?"),
        ("datasets/shapes.yaml", "held_out", "hold_out", "did you mean 'held_out'?"),
    ],
)
def test_a_typo_ends_the_direct_run_with_2_before_prefect_is_imported(
    project: Path, warm_walt: WarmCommand, file: str, old: str, new: str, said: str
) -> None:
    path = project / file
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert said in refused_before_prefect(project, warm_walt)
    assert not (project / "calls").exists()


def test_without_a_pipeline_the_direct_run_ends_with_2_before_prefect_is_imported(
    project: Path, warm_walt: WarmCommand
) -> None:
    (project / "dvc.yaml").unlink()
    said = refused_before_prefect(project, warm_walt)
    assert "no dvc.yaml here: `walt init` in an empty folder makes a project" in said


def refused_before_prefect(project: Path, warm_walt: WarmCommand) -> str:
    """The one line with which the direct run ends with 2, in a process that has not imported Prefect."""
    code = (
        "import sys; from flows.walt import main; code = main([]); sys.exit(99 if 'prefect' in sys.modules else code)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [warm_walt.python, "-c", code], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2, ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    return ended.stderr


def test_the_demo_is_a_direct_run_that_promotes_the_model(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So the transformer is a model version with an alias when the demo is done."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    command = next(line for line in makefile.splitlines() if "-m flows.walt" in line)
    arguments = command.partition("-m flows.walt")[2].split()
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert main(arguments) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (project / "calls").read_text().split() == ["prepare", "promote"]
    assert runs(project, STAGE_NAMES[-1]) == 1
    assert "results/report.html" in capsys.readouterr().out


def test_a_storage_error_is_retried_until_it_is_gone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.run_stage, "retry_delay_seconds", 0.5)
    behave(project, "ingest", "exit 4")

    def fix() -> None:
        while runs(project, "ingest") < 2:
            time.sleep(0.05)
        behave(project, "ingest", None)

    repair = threading.Thread(target=fix, daemon=True)
    repair.start()
    assert walt("ingest") == {"ingest": "ran"}
    assert runs(project, "ingest") in (2, 3)  # the second one may have read its behaviour before it was fixed


def test_retries_end(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.run_stage, "retry_delay_seconds", 0.01)
    monkeypatch.setattr(pipeline.run_stage, "retries", 1)
    behave(project, "ingest", "exit 4")
    with pytest.raises(StageFailedError, match="exit status 4"):
        walt("ingest")
    assert runs(project, "ingest") == 2


@pytest.mark.parametrize(("status", "times"), [(137, 3), (2, 1)], ids=["killed", "configuration"])
def test_only_what_another_time_may_be_gone_is_retried(
    project: Path, monkeypatch: pytest.MonkeyPatch, status: int, times: int
) -> None:
    monkeypatch.setattr(pipeline.run_stage, "retry_delay_seconds", 0.01)
    behave(project, "ingest", f"exit {status}")
    with pytest.raises(StageFailedError, match=f"exit status {status}"):
        walt("ingest")
    assert runs(project, "ingest") == times


def test_after_the_time_limit_the_stage_and_all_it_started_are_stopped(project: Path) -> None:
    use_own_dvc(project)
    behave(project, "ingest", "sleep")
    with pytest.raises(TimeLimitError, match="ingest: the time limit"):
        walt("ingest", hours=1e-9)  # it is looked at once a second
    assert runs(project, "ingest") <= 1
    running = project / "work/ingest/running"
    pids = [int(pid) for pid in running.read_text().split()] if running.is_file() else []
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    behave(project, "ingest", None)
    assert walt("ingest", hours=24) == {"ingest": "ran"}


def test_sigterm_stops_the_stage_and_all_it_started(project: Path) -> None:
    """What a cancelled flow run gets. The next run is not held up by it."""
    use_own_dvc(project)
    behave(project, "ingest", "sleep")
    running = project / "work/ingest/running"

    def terminate() -> None:
        while not running.is_file():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    threading.Thread(target=terminate, daemon=True).start()
    try:
        with pytest.raises(SystemExit):
            walt("ingest")
    finally:
        signal.signal(signal.SIGTERM, before)
    pids = [int(pid) for pid in running.read_text().split()]
    assert len(pids) == 2
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    behave(project, "ingest", None)
    assert walt("ingest") == {"ingest": "ran"}


def test_retraining_compares_the_models_even_when_nothing_changed(project: Path) -> None:
    walt("ingest", promote=True)
    walt("ingest", promote=True)
    assert (project / "calls").read_text().split() == ["prepare", "promote", "prepare", "promote"]
    assert runs(project, "ingest") == 1
    assert _artifacts("promotion")[-1].data == "version 2 is better: it takes the alias"


def test_without_enough_new_clips_a_retraining_ends_after_the_clips(project: Path) -> None:
    assert walt("report", promote=True, retrain=True) == {"ingest": "ran"}
    assert (project / "calls").read_text().split() == ["prepare", "retrain"]
    assert runs(project, "train-autoencoder") == 0
    assert _artifacts("retraining")[-1].data == "3 new clips, the rule wants 5: nothing to do"
    assert _newest_run() == "retrain"
    walt("ingest")
    assert _newest_run() == "ingest"


def test_with_enough_of_them_it_makes_everything_and_decides(project: Path) -> None:
    behave(project, "retrain", "go")
    outcomes = walt("train-base", retrain=True)
    assert outcomes == dict.fromkeys((stage.name for stage in stages_needed_for("train-base")), "ran")
    assert (project / "calls").read_text().split() == ["prepare", "retrain", "promote", "retrain"]
    assert runs(project, "ingest") == 1


def test_a_retraining_that_fails_leaves_the_settings_as_they_were(project: Path) -> None:
    before = (project / "params.yaml").read_text()
    behave(project, "retrain", "go")
    behave(project, "train-base", "exit 7")
    with pytest.raises(StageFailedError, match="train-base ended with exit status 7"):
        walt("train-base", retrain=True)
    assert (project / "params.yaml").read_text() == before
    assert (project / "calls").read_text().split() == ["prepare", "retrain"], "nothing is promoted"


def test_a_refused_promotion_fails_the_flow_run_with_its_reason(project: Path) -> None:
    behave(project, "promote", "refuse")
    with pytest.raises(StageFailedError, match=r"promote ended with exit status 2: .*not the weights that were eval"):
        walt("ingest", promote=True)
    assert (project / "calls").read_text().split()[-2:] == ["prepare", "promote"], "once: no retry makes it right"


def test_a_second_flow_run_in_the_same_project_is_refused(project: Path) -> None:
    with lock(project / "work/flow.lock"), pytest.raises(LockedError, match=f"held by process {os.getpid()}"):
        walt("ingest")
    assert runs(project, "ingest") == 0


def test_beside_a_running_dvc_repro_the_direct_run_ends_with_6_and_names_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use_own_dvc(project)
    behave(project, "ingest", "sleep")
    before = signal.getsignal(signal.SIGTERM)
    other = subprocess.Popen([project / "tools/dvc", "repro", "ingest"], cwd=project, stdout=subprocess.DEVNULL)
    try:
        while not (project / "work/ingest/running").is_file():
            assert other.poll() is None
            time.sleep(0.05)
        assert main(["--target", "encode-text"]) == 6
    finally:
        signal.signal(signal.SIGTERM, before)
        for process in psutil.Process(other.pid).children(recursive=True):
            process.kill()
        other.wait()
    said = capsys.readouterr().err
    assert f"(process {other.pid}) works in this project; wait until it has ended, or stop it" in said
    assert "dvc repro ingest" in said
    assert runs(project, "ingest") == 1


@pytest.mark.parametrize("status", [0, 3])
def test_a_flow_run_is_told_and_its_stages_are_parts_of_it(
    project: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    pytest.importorskip("openlineage.client", reason=REASON)
    file = ask_for_file(monkeypatch, project)
    parents = set()

    def run_command(command: list[str], *rest: Any, **settings: Any) -> Ended:
        parents.add(command_environment({})["OPENLINEAGE_PARENT_ID"])
        return processes.run_command(command, *rest, **settings)

    monkeypatch.setattr(pipeline, "run_command", run_command)
    if status:
        behave(project, "ingest", f"exit {status}")
        with pytest.raises(StageFailedError):
            walt("ingest")
    else:
        walt("ingest")
    start, end = read_events(file)
    assert [event["eventType"] for event in (start, end)] == ["START", "FAIL" if status else "COMPLETE"]
    assert parents == {f"{project.name}/walt/{start['run']['runId']}"}
    with get_client(sync_client=True) as client:
        client.read_flow_run(start["run"]["runId"])
    if status:
        assert "the disk of ingest is full" in end["run"]["facets"]["errorMessage"]["message"]


def test_an_unknown_target_names_the_nearest(project: Path) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'evaluate'"):
        walt("evaluat")
