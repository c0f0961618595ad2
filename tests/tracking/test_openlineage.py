"""OpenLineage's events: as its client's classes have them, without credentials, and none that a run depends on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.support.openlineage import REASON, Event, ask_for_file, collector, read_events
from walt.core.errors import StorageError, TerminatedError
from walt.tracking import openlineage
from walt.tracking.openlineage import PARENT_VARIABLE, ROOT_VARIABLE, Dataset, Job, is_asked_for, run_events

JOB = Job("walt.train-base", "STAGE", "Train the base model.")
MANIFEST = Dataset("/p/data/manifest", "TABLE", "sha256:ab", (("key", "string"), ("fps", "double")), rows=3, files=2)
MODEL = Dataset("/p/models/base", "MODEL", "sha256:cd", files=2, size=99)
PLANTED = ("planted-in-the-environment", "planted-in-a-url", "planted-in-the-origin", "planted-in-an-error")


@pytest.fixture(autouse=True)
def _nobody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def client() -> None:
    pytest.importorskip("openlineage.client", reason=REASON)


def _work(root: Path, error: BaseException | None = None, run_id: UUID | None = None) -> None:
    with run_events(root, JOB, lambda: [MANIFEST], lambda: [MODEL], lambda: {"mlflow.run_id": "12"}, run_id):
        if error is not None:
            raise error


def _version(dataset: Event) -> str:
    return str(dataset["facets"]["version"]["datasetVersion"])


@pytest.mark.parametrize(
    ("name", "value", "asked"),
    [
        ("OPENLINEAGE_URL", "http://127.0.0.1:9", True), ("OPENLINEAGE_CONFIG", "x.yml", True),
        ("OPENLINEAGE__TRANSPORT__TYPE", "console", True), ("OPENLINEAGE_URL", "", False),
        ("OPENLINEAGE_NAMESPACE", "films", False), ("PATH", "/bin", False),
    ],
)  # fmt: skip
def test_events_are_off_unless_the_client_is_told_where_they_go(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, asked: bool
) -> None:
    monkeypatch.setenv(name, value)
    assert is_asked_for() is asked
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    assert not is_asked_for()


@pytest.mark.parametrize("folder", [".", "home/.openlineage"])
def test_a_file_of_the_clients_asks_for_them(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / folder / "openlineage.yml").write_text("transport: {type: console}")
    assert is_asked_for()


def test_without_being_asked_for_nothing_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(openlineage, "_Events", None)
    _work(tmp_path)
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("client")
def test_a_run_has_a_start_and_an_end_with_what_it_read_and_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = ask_for_file(monkeypatch, tmp_path)
    run_id = uuid4()
    _work(tmp_path, run_id=run_id)
    start, complete = read_events(file)
    assert [event["eventType"] for event in (start, complete)] == ["START", "COMPLETE"]
    for event in (start, complete):
        assert event["run"]["runId"] == str(run_id)
        assert (event["job"]["namespace"], event["job"]["name"]) == (tmp_path.name, "walt.train-base")
        assert event["job"]["facets"]["jobType"]["jobType"] == "STAGE"
        [read] = event["inputs"]
        assert (read["namespace"], read["name"], _version(read)) == ("file", "/p/data/manifest", "sha256:ab")
        fields = [(field["name"], field["type"]) for field in read["facets"]["schema"]["fields"]]
        assert fields == [("key", "string"), ("fps", "double")]
        assert read["inputFacets"]["inputStatistics"]["rowCount"] == 3
    assert start["outputs"] == []
    [made] = complete["outputs"]
    assert (made["name"], _version(made)) == ("/p/models/base", "sha256:cd")
    assert made["facets"]["datasetType"]["datasetType"] == "MODEL"
    assert made["outputFacets"]["outputStatistics"]["size"] == 99
    tags = {tag["key"]: tag["value"] for tag in complete["run"]["facets"]["tags"]["tags"]}
    assert tags["mlflow.run_id"] == "12"
    assert "parent" not in start["run"]["facets"]


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(
    ("error", "state", "said"),
    [
        (StorageError("the disk is full"), "FAIL", "StorageError: the disk is full"),
        (TerminatedError("SIGTERM"), "ABORT", None), (KeyboardInterrupt(), "ABORT", None),
    ],
)  # fmt: skip
def test_an_event_says_how_a_run_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, state: str, said: str | None
) -> None:
    file = ask_for_file(monkeypatch, tmp_path)
    with pytest.raises(type(error)):
        _work(tmp_path, error)
    end = read_events(file)[-1]
    assert end["eventType"] == state
    assert end["outputs"] == []
    assert end["run"]["facets"].get("errorMessage", {}).get("message") == said


@pytest.mark.usefixtures("client")
def test_what_a_run_starts_are_its_parts_and_all_are_parts_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow = f"team/films/nightly/{uuid4()}"
    monkeypatch.setenv(PARENT_VARIABLE, airflow)
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "films")
    file = ask_for_file(monkeypatch, tmp_path)
    with run_events(tmp_path, Job("walt", "FLOW", "All."), tuple, tuple):
        _work(tmp_path)
        _work(tmp_path)
    assert os.environ[PARENT_VARIABLE] == airflow
    assert ROOT_VARIABLE not in os.environ
    events = read_events(file)
    flow, *stages = events[:-1]
    above = flow["run"]["facets"]["parent"]
    assert "/".join([above["job"]["namespace"], above["job"]["name"], above["run"]["runId"]]) == airflow
    assert len({stage["run"]["runId"] for stage in stages}) == 2
    for stage in stages:
        parent = stage["run"]["facets"]["parent"]
        assert (parent["job"]["namespace"], parent["job"]["name"]) == ("films", "walt")
        assert parent["run"]["runId"] == flow["run"]["runId"]
        assert parent["root"]["run"]["runId"] == above["run"]["runId"]


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("parent", ["", "nonsense", "a/b/no-uuid"])
def test_a_parent_that_is_none_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parent: str) -> None:
    monkeypatch.setenv(PARENT_VARIABLE, parent)
    file = ask_for_file(monkeypatch, tmp_path)
    _work(tmp_path)
    assert ["parent" in event["run"]["facets"] for event in read_events(file)] == [False, False]
    assert os.environ[PARENT_VARIABLE] == parent


@pytest.mark.usefixtures("client")
def test_a_collector_over_http_gets_the_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with collector(monkeypatch) as received:
        _work(tmp_path)
    assert [event["eventType"] for event in received] == ["START", "COMPLETE"]


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("how", ["away", "refuses", "nonsense", "not installed"])
def test_a_collector_that_is_away_costs_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], how: str
) -> None:
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__RETRY", '{"total": 0}')
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "http")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__URL", "http://127.0.0.1:9" if how == "away" else "nonsense")
    if how == "not installed":
        monkeypatch.setattr(openlineage, "find_spec", lambda name: None)
    if how == "refuses":
        with collector(monkeypatch, status=400) as received:
            monkeypatch.setenv("OPENLINEAGE__TRANSPORT__URL", os.environ["OPENLINEAGE_URL"])
            _work(tmp_path)
        assert len(received) == 2
    else:
        _work(tmp_path)
    said = capfd.readouterr()
    lines = (said.out + said.err).splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("warning: no OpenLineage events of walt.train-base (")
    assert ("pip install" in lines[0]) is (how == "not installed")


@pytest.mark.usefixtures("client")
def test_what_cannot_be_described_fails_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = ask_for_file(monkeypatch, tmp_path)
    with run_events(tmp_path, JOB, tuple, lambda: [Dataset(str(1 / 0))]):
        pass
    assert "ZeroDivisionError" in capsys.readouterr().out
    assert [event["eventType"] for event in read_events(file)] == ["START"]


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("committed", [True, False])
def test_no_event_has_a_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], committed: bool
) -> None:
    """Nor where the client is set to say where the code is from, which sends the origin's address as git has it."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PLANTED[0])
    file = ask_for_file(monkeypatch, tmp_path)
    config = Path(os.environ["OPENLINEAGE_CONFIG"])
    config.write_text(config.read_text() + "facets:\n  source_code_location:\n    disabled: false\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (
        ["init", "-q"],
        ["remote", "add", "origin", f"https://me:{PLANTED[2]}@host/films.git"],
        *([["commit", "-q", "--allow-empty", "-m", "x"]] if committed else []),
    ):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    signed = Dataset(f"s3://me:{PLANTED[1]}@bucket/clips?X-Amz-Signature={PLANTED[1]}")
    error = StorageError(f"{PLANTED[0]} https://me:{PLANTED[3]}@host/x")
    with pytest.raises(StorageError), run_events(tmp_path, JOB, lambda: [signed], tuple, lambda: {"said": PLANTED[0]}):
        raise error
    text = file.read_text()
    assert not [planted for planted in PLANTED if planted in text + capsys.readouterr().out]
    start, fail = read_events(file)
    location = start["job"]["facets"]["sourceCodeLocation"]
    assert location["url"] == "https://***@host/films.git"
    assert len(location.get("version", "")) == (40 if committed else 0)
    assert "***" in fail["run"]["facets"]["errorMessage"]["message"]
