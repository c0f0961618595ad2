"""``walt gc``: what nothing refers to is listed by kind, and removed on request; nothing that anybody needs goes."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.support.interrupted_ingest import kill_at
from tests.support.release import promoted
from tests.support.tracking import CONFIG
from tests.support.watched_writes import announce
from walt.commands.gc import collect as gc
from walt.commands.gc import stores
from walt.commands.gc.collect import Wanted, collect, lines, remove
from walt.core.errors import LockedError, StorageError
from walt.core.paths import Paths
from walt.core.storage import lock, write_json
from walt.project.recipes import recipe_text
from walt.tracking import server
from walt.tracking.runs import start_run
from walt.training.set_aside import set_all_aside

NOTHING, ALL = Wanted(), Wanted(caches=True, checkpoints=True)


@pytest.fixture
def root(tmp_path: Path, empty_database: Path) -> Path:
    """A project that no command has worked in."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    (tmp_path / "params.yaml").write_text(recipe_text("tiny"))
    return tmp_path


def file(path: Path, size: int = 5000, days: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))
    os.utime(path, (path.stat().st_mtime - 86400 * days,) * 2)
    return path


def kinds(root: Path, wanted: Wanted = NOTHING) -> dict[str, list[str]]:
    return {one.kind: [str(path.relative_to(root)) for path in one.paths] for one in collect(root, wanted)}


def model(root: Path, content: bytes) -> Path:
    folder = root / "models/base"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").unlink(missing_ok=True)
    (folder / "model.safetensors").write_bytes(content)
    return folder


def test_in_a_new_project_nothing_can_go(root: Path) -> None:
    assert collect(root, ALL) == []
    assert list(lines([], root, removed=False)) == ["nothing can go"]


def test_what_a_killed_run_left_long_ago_can_go(root: Path) -> None:
    file(root / "data/latents/16x16/latents-000000.tar.77.tmp", days=2)
    file(root / "models/base.77.tmp/model.safetensors", days=2)
    os.utime(root / "models/base.77.tmp", (0, 0))
    file(root / "data/latents/16x16/latents-000001.tar.78.tmp", days=0.5)  # perhaps still somebody's
    file(root / "data/shapes/own.tmp", days=2)  # a person's
    expected = ["data/latents/16x16/latents-000000.tar.77.tmp", "models/base.77.tmp"]
    assert kinds(root) == {"temporary files": expected}


def test_of_checkpoints_set_aside_the_newest_stay(root: Path) -> None:
    params = (root / "params.yaml").read_text()
    assert "kept_set_aside: 3" in params
    work = Paths(root).work("train-base")
    for number in range(4):
        file(work / f"step-00000000{number}" / "model.safetensors")
        set_all_aside(work, "another run")
    assert kinds(root) == {"checkpoints set aside": ["work/train-base/set-aside/0001"]}
    (root / "params.yaml").write_text(params.replace("kept_set_aside: 3", "kept_set_aside: null"))
    assert kinds(root) == {}


def test_last_checkpoints_and_caches_go_on_request_only(root: Path) -> None:
    work = Paths(root).work("train-base")
    file(work / "step-000000004" / "model.safetensors")
    assert kinds(root, ALL) == {}, "it has not finished"
    write_json(work / "step-000000004/published.json", {})
    file(root / "work/ingest/sources/0123/ab/entry")
    assert kinds(root) == {}
    assert kinds(root, Wanted(checkpoints=True)) == {
        "checkpoints of finished trainings": ["work/train-base/step-000000004"]
    }
    assert kinds(root, Wanted(caches=True)) == {"cut clips": ["work/ingest/sources"]}
    remove(root, ALL)
    assert not (work / "step-000000004").exists()
    assert not (root / "work/ingest/sources").exists()
    assert not (root / "work/gc").exists()


def test_a_file_that_has_another_name_frees_nothing(root: Path) -> None:
    kept = file(root / "data/clips/16x16/clips-000000.tar", 50_000)
    one = file(root / "work/one", 50_000)
    (root / "work/two").hardlink_to(one)
    (root / "work/three").hardlink_to(kept)
    found = gc.Garbage("any", "why", (one, root / "work/two", root / "work/three"))
    assert 50_000 <= found.size() < 60_000


def test_a_listing_says_kind_bytes_and_why_and_removes_nothing(root: Path) -> None:
    path = file(root / "work/ingest/sources/0123/ab/entry", 100_000)
    (one, total) = lines(collect(root, ALL), root, removed=False)
    assert "cut clips: 1, such as work/ingest/sources; the next ingest decodes all sources again" in one
    assert total.endswith("in all could go; --yes removes it")
    assert path.is_file()
    (_, total) = lines(remove(root, ALL), root, removed=True)
    assert total.endswith("in all removed")
    assert "0 B" not in total


@pytest.mark.parametrize("held", ["work/flow.lock", "work/train-base/lock"])
def test_nothing_goes_while_something_works_in_the_project(root: Path, held: str) -> None:
    path = file(root / "work/ingest/sources/0123/ab/entry")
    with lock(root / held), pytest.raises(LockedError):
        remove(root, ALL)
    assert path.is_file()


@pytest.mark.parametrize("killed", [False, True])
def test_what_is_on_another_disk_goes_too(root: Path, monkeypatch: pytest.MonkeyPatch, killed: bool) -> None:
    """As DVC's cache often is; of a folder that is half removed, nothing takes what is left for the whole."""
    entry = file(root / "work/ingest/sources/0123/ab/entry")
    left = file(root / "data/latents/16x16/latents-000000.tar.77.tmp", days=2)
    plain, rmtree = Path.rename, shutil.rmtree

    def rename(self: Path, target: Path) -> Path:
        if target.is_relative_to(root / "work/gc"):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(self))
        return plain(self, target)

    def dying(path: Path) -> None:
        assert not entry.exists(), "its name says already that it is not whole"
        rmtree(path)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", rename)
    if killed:
        monkeypatch.setattr(gc.shutil, "rmtree", dying)
        with pytest.raises(KeyboardInterrupt):
            remove(root, ALL)
        monkeypatch.setattr(gc.shutil, "rmtree", rmtree)
    remove(root, ALL)
    assert not left.exists()
    assert not entry.exists()
    assert kinds(root, ALL) == {}


def test_what_a_killed_run_had_begun_with_goes_the_next_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thing is where it was, or in work/gc as a whole."""
    file(root / "work/ingest/sources/0123/ab/entry")
    file(root / "work/evaluate/features/a.safetensors")

    def killed(path: Path) -> None:
        (path / next(name.name for name in path.iterdir())).joinpath("0123/ab/entry").unlink(missing_ok=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(gc.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        remove(root, ALL)
    monkeypatch.undo()
    assert not (root / "work/ingest/sources").exists()
    assert [len(paths) for paths in kinds(root).values()] == [2]
    remove(root, NOTHING)
    assert kinds(root, ALL) == {}


@pytest.mark.slow
def test_killed_at_any_moment_all_is_where_it_was_or_is_gone_and_the_next_one_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By SIGKILL before each rename and removal: what is needed keeps its bytes, nothing is left in parts."""
    template = _project_with_garbage(tmp_path / "template")
    needed = {path: data for path, data in _content(template).items() if "needed" in path or path == "params.yaml"}
    ended = shutil.copytree(template, tmp_path / "ended")
    moments = _remove_and_be_killed(ended, monkeypatch, at=None)
    assert _content(ended) == needed
    assert moments > 10
    for moment in range(1, moments + 1):
        root = shutil.copytree(template, tmp_path / f"killed-at-{moment}")
        _remove_and_be_killed(root, monkeypatch, at=moment)
        left = _content(root)
        assert needed.items() <= left.items()
        for folder in _GARBAGE:
            whole = {path for path in _content(template) if path.startswith(folder)}
            assert {path for path in left if path.startswith(folder)} in (set(), whole), (moment, folder)
        _remove_and_be_killed(root, monkeypatch, at=None)
        assert _content(root) == needed, moment


_GARBAGE = (
    "data/latents/16x16/latents-000000.tar.77.tmp", "mlartifacts/deleted", "work/ingest/sources",
    "work/train-base/step-000000004", "work/train-base/set-aside/0001",
)  # fmt: skip


def _project_with_garbage(root: Path) -> Path:
    """Of most kinds; "needed" is in the names of the other files."""
    for folder in _GARBAGE:
        for name in ("a", "b/c"):
            file(root / folder / name, 10, days=2)
    os.utime(root / _GARBAGE[0], (0, 0))
    work = Paths(root).work("train-base")
    write_json(work / "step-000000004/published.json", {})
    for number in (2, 3, 4):
        file(work / f"set-aside/000{number}/needed", 10)
    for path in ("data/latents/16x16/needed.tar", "mlartifacts/there/needed", "work/ingest/needed"):
        file(root / path, 10)
    (root / "params.yaml").write_text(recipe_text("tiny"))
    return root


def _content(root: Path) -> dict[str, bytes]:
    """Of all files, except of locks."""
    files = [path for path in root.rglob("*") if path.is_file() and "lock" not in path.name]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def _remove_and_be_killed(root: Path, monkeypatch: pytest.MonkeyPatch, at: int | None) -> int:
    """``walt gc`` in a process of its own, killed before its rename or removal of that number; how many it made."""
    counted = root.parent / "counted"
    with monkeypatch.context() as patch:
        deleted = list((root / "mlartifacts").glob("deleted"))
        patch.setattr(gc, "unused_in_mlflow", lambda *_: (deleted, []))
        if (child := os.fork()) == 0:
            count = announce(
                ((Path, "rename"), (os, "unlink"), (os, "rmdir")), partial(kill_at, -1 if at is None else at), patch
            )
            try:
                remove(root, ALL)
                counted.write_text(str(count()))
            finally:
                os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) is (at is not None)
    return int(counted.read_text())


@pytest.mark.slow
def test_files_of_deleted_runs_go_unless_a_version_needs_them(root: Path) -> None:
    connection = server.connect(CONFIG, root)
    runs = {}
    for name in ("deleted", "there", "of a version"):
        with start_run(CONFIG, root, "train-base", {"name": name}, {}) as run:
            run.log_artifact(file(root / "grid.png"))
            if name == "of a version":
                run.register_model(model(root, b"1"), "base")
        runs[name] = str(run.run_id)
    for name in ("deleted", "of a version"):
        connection.client.delete_run(runs[name])
    (only,) = kinds(root).items()
    assert only == ("files of deleted runs", [f"mlartifacts/{runs['deleted']}/artifacts"])
    remove(root, NOTHING)
    assert kinds(root) == {}
    assert connection.client.list_artifacts(runs["there"])


@pytest.mark.slow
def test_models_of_deleted_versions_go_when_they_are_old(root: Path) -> None:
    connection = server.connect(CONFIG, root)
    for content in (b"1", b"2"):
        with start_run(CONFIG, root, "train-base", {}, {}) as run:
            run.register_model(model(root, content), "base")
    connection.client.delete_model_version("walt-base", "1")
    assert kinds(root) == {}, "it may be about to be registered"
    for folder in (root / "mlartifacts").glob("models/*"):
        os.utime(folder, (0, 0))
    (only,) = kinds(root).values()
    remove(root, NOTHING)
    assert [path.read_bytes() for path in (root / "mlartifacts").rglob("model.safetensors")] == [b"2"]
    assert len(only) == 1


@pytest.mark.usefixtures("mlflow_is_asked_once")
def test_a_registry_that_is_away_stops_it(root: Path) -> None:
    text = (root / "params.yaml").read_text().replace("sqlite:///mlflow.db", "http://127.0.0.1:9")
    (root / "params.yaml").write_text(text)
    path = file(root / "mlartifacts/1/run/artifacts/x", days=2)
    with pytest.raises(StorageError):
        remove(root, ALL)
    assert path.is_file()


@pytest.mark.slow
def test_what_a_release_or_the_workspace_needs_stays_in_dvcs_cache(root: Path, dvc_is_warm: None) -> None:
    """Only DVC itself can say what it keeps; the release's lock is in no commit."""

    def call(*command: str) -> None:
        subprocess.run(command, cwd=root, check=True, capture_output=True)

    train = "{cmd: cp in out, deps: [in, '${dataset.descriptor}'], outs: [out]}"  # a key of params.yaml, as in ours
    (root / "dvc.yaml").write_text(f"stages: {{train: {train}}}\n")
    file(root / "datasets/shapes-few.yaml")
    dvc = [sys.executable, "-m", "dvc"]
    call("git", "init", "-q")
    call(*dvc, "init", "-q")
    call("git", "add", "dvc.yaml", "params.yaml")
    call("git", "-c", "user.name=n", "-c", "user.email=e@x", "commit", "-qm", "first")
    for number in ("nobody's", "the release's", "the workspace's"):
        (root / "in").write_text(number)
        call(*dvc, "repro", "-q")
        if number == "the release's":
            promoted(root, {"base": model(root, b"first")}, 50)
    assert [path.read_text() for path in stores.unused_in_dvc(gc.load_params(root), root)] == ["nobody's"]
