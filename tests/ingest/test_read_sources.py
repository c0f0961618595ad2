"""Each source is read once, and failures to read it do not count as properties of its bytes."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.faults import crash_at, hang_or_crash
from tests.support.ingest_project import CAPTIONS, add, make_project, outputs, run
from tests.support.places import Place, only_here
from walt.core.digests import sha256_file
from walt.core.errors import StorageError
from walt.core.log import ProgressBar
from walt.core.paths import Paths
from walt.data.manifest import RejectRow, read_rejects
from walt.ingest import clip_cache, clip_rule, hash_and_cut
from walt.ingest import read_sources as reading
from walt.ingest.clip_cache import cut_sources
from walt.ingest.sources.locations import member_location


@pytest.fixture
def root(tmp_path: Path, place: Place) -> Path:
    make_project(tmp_path)
    return place.settle(tmp_path)


def rejected(root: Path) -> dict[str, RejectRow]:
    return {row.source: row for row in read_rejects(Paths(root).rejects)}


@pytest.mark.slow
def test_the_bar_counts_the_bytes_that_were_read(root: Path, place: Place, bars: list[ProgressBar]) -> None:
    size = sum(path.stat().st_size for path in (root / "videos").iterdir() if path.name != "captions.csv")
    for read in (size, 0 if place.bucket else size):  # what a server still has is not fetched again
        run(root)
        assert bars.pop().meters["MB"] == pytest.approx(read / 1e6)
    (root / "x.tar").write_bytes(b"headtexttail")
    member = member_location(str(root / "x.tar"), 4, 4)
    found = hash_and_cut.only_hash(root, partial(cut_sources, None), hash_and_cut.LocationTask(member, ()))  # type: ignore[arg-type]
    assert found == hash_and_cut.LocationResult(hashlib.sha256(b"text").hexdigest(), num_bytes=4)


@pytest.mark.slow
def test_a_file_that_kills_its_worker_has_a_hash_and_duplicates(
    root: Path, monkeypatch: pytest.MonkeyPatch, bars: list[ProgressBar]
) -> None:
    shutil.copy(root / "videos/b.mp4", root / "videos/z copy of b.mp4")
    add(root, CAPTIONS | {"z copy of b.mp4": "a copy"})
    digests = {sha256_file(root / f"videos/{name}.mp4"): name for name in "abc"}
    with monkeypatch.context() as patch:
        patch.setattr(reading, "cut_sources", partial(hang_or_crash, digests))
        patch.setattr(reading, "DOWNLOAD_SECONDS", 10.0)  # what comes from a server may take that much longer
        run(root, 2, "process", timeout_seconds=3.0)
    assert [(bar.completed, bar.counters["rejects"]) for bar in bars] == [(10, 4), (4, 4)], "none is counted twice"
    rows = rejected(root)
    assert {source: row.code for source, row in rows.items()} == {
        "a.mp4": "timeout", "b.mp4": "crash", "c.mp4": "memory", "z copy of b.mp4": "duplicate",
    }  # fmt: skip
    for source, row in rows.items():
        assert row.sha256 == hashlib.sha256((root / "videos" / source).read_bytes()).hexdigest()
    assert rows["z copy of b.mp4"].cause == "the same bytes as b.mp4"
    assert run(root)["decoded_now"] == 3, "such refusals are not remembered"
    assert set(rejected(root)) == {"z copy of b.mp4"}


@pytest.mark.slow
@only_here  # what is fetched has no name of its own by which one copy might crash
@pytest.mark.parametrize("dies", ["b.mp4", "z copy of b.mp4"])
def test_one_readable_copy_is_enough(root: Path, monkeypatch: pytest.MonkeyPatch, dies: str) -> None:
    shutil.copy(root / "videos/b.mp4", root / "videos/z copy of b.mp4")
    add(root, CAPTIONS | {"z copy of b.mp4": "a copy"})
    with monkeypatch.context() as patch:
        patch.setattr(reading, "cut_sources", partial(crash_at, dies))
        assert run(root, 2, "process")["clips"] == 18
    assert {source: row.code for source, row in rejected(root).items()} == {"z copy of b.mp4": "duplicate"}
    before = outputs(root)
    assert run(root)["decoded_now"] == 0
    assert outputs(root) == before, "a rerun adds nothing"


@pytest.mark.slow
@only_here  # the copy of an object does not change; see test_ingest_sources.py for what may
def test_a_file_that_changes_while_it_is_read_is_refused_for_now(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = (root / "videos/b.mp4").read_bytes() + b"\0"

    def change(rule: Any, path: Path, sources: Any) -> Any:
        if path.name == "a.mp4":
            path.write_bytes(other)
        return cut_sources(rule, path, sources)

    with monkeypatch.context() as patch:
        patch.setattr(reading, "cut_sources", change)
        run(root)
    assert {source: row.code for source, row in rejected(root).items()} == {"a.mp4": "changed"}
    assert run(root)["decoded_now"] == 1
    assert rejected(root) == {}


@only_here
def test_a_file_that_cannot_be_read_has_no_hash(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(location: str) -> str:
        if location.endswith("/a.mp4"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return hashlib.sha256(Path(location).read_bytes()).hexdigest()

    monkeypatch.setattr(hash_and_cut, "hash_location", fail)
    run(root)
    assert rejected(root) == {"a.mp4": RejectRow("a.mp4", None, "ingest", "unreadable", "Input/output error")}


@pytest.mark.slow
def test_clips_that_only_another_machines_cache_has_are_cut_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = hash_and_cut._lacking

    def all_there(cache: Any, sha256: str, place: hash_and_cut.LocationTask) -> Any:
        return [] if cache else lacking(cache, sha256, place)

    with monkeypatch.context() as patch:
        patch.setattr(hash_and_cut, "_lacking", all_there)
        assert run(root)["decoded_now"] == 9
    before = outputs(root)
    shutil.rmtree(root / "work")
    shutil.rmtree(root / "data")
    run(root)
    assert outputs(root) == before


@pytest.mark.slow
def test_an_unforeseen_exception_refuses_one_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()

    def cut(rule: Any, path: Path, *rest: Any) -> Any:
        seen.add(sha256_file(path))
        if len(seen) == 1:
            raise ValueError("31 is not\na valid Type")
        return clip_rule.cut(rule, path, *rest)

    monkeypatch.setattr(clip_cache, "cut", cut)
    run(root)
    ((name, row),) = rejected(root).items()
    assert (row.code, row.cause) == ("internal", f"{name}: ValueError: 31 is not a valid Type")
    monkeypatch.setattr(clip_cache, "cut", clip_rule.cut)
    run(root)  # it says nothing certain about the bytes, so it is not remembered
    assert not rejected(root)


def test_errors_of_storage_still_end_the_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise StorageError("the disk is full")

    monkeypatch.setattr(clip_cache, "cut", fail)
    with pytest.raises(StorageError, match="the disk is full"):
        run(root)
