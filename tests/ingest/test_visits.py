"""Spans of one local file are read at one visit, and a failure at one of them costs only that one."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.faults import crash_at_second
from tests.support.ingest_project import ingest_source, outputs, rejects
from tests.support.media import counter, write_video
from tests.support.sources import LIST
from walt.core.log import ProgressBar
from walt.core.paths import Paths
from walt.data.manifest import read_manifest
from walt.ingest import hash_and_cut
from walt.ingest import read_sources as reading

SPANS = LIST | {"span_columns": ["from", "to"]}
STARTS = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two videos of two seconds, each with six spans."""
    (tmp_path / "videos").mkdir()
    for name, frames in (("a.mkv", counter(48)), ("b.mkv", counter(48)[::-1])):
        write_video(tmp_path / "videos" / name, frames)
    rows = "".join(f"{name}.mkv,from {start},{start},{start + 0.7:g}\n" for start in STARTS for name in "ab")
    (tmp_path / "videos/t.csv").write_text(f"path,caption,from,to\n{rows}")
    return tmp_path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were hashed, before and after they were cut."""
    names: list[str] = []
    for name in ("hash_location", "sha256_file"):
        plain = getattr(hash_and_cut, name)

        def noted(path: Any, plain: Any = plain) -> Any:
            names.append(Path(path).name)
            return plain(path)

        monkeypatch.setattr(hash_and_cut, name, noted)
    return names


def starts(root: Path) -> list[float]:
    return sorted(row.start_seconds for row in read_manifest(Paths(root).manifest) if row.source.startswith("a"))


def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """No two spans share a decoding."""
    monkeypatch.setattr("walt.ingest.clip_rule._MOST_BYTES", 1)


@pytest.mark.slow
def test_all_spans_of_a_file_are_one_visit(root: Path, read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ingest_source(root, SPANS)
    assert starts(root) == STARTS
    assert sorted(read) == ["a.mkv", "a.mkv", "b.mkv", "b.mkv"], "hashed once before, and once after"
    before = outputs(root)
    monkeypatch.setattr(reading, "MOST_SPANS", 4)
    (root / "work").rename(root / "gone")
    read.clear()
    ingest_source(root, SPANS)
    assert read.count("a.mkv") == 4, "two visits"
    assert outputs(root) == before


@pytest.mark.slow
def test_a_visit_that_takes_long_is_continued_later(
    root: Path, read: list[str], bars: list[ProgressBar], monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest_source(root, SPANS)
    before = outputs(root)
    (root / "work").rename(root / "gone")
    read.clear()
    plain = reading.LocationTask
    one_by_one(monkeypatch)
    monkeypatch.setattr(reading, "LocationTask", lambda *some: plain(*some[:3], seconds=0.0))
    ingest_source(root, SPANS)
    assert read.count("a.mkv") == 2 * len(STARTS), "one span a visit"
    assert (bars[-1].completed, bars[-1].total) == (12, 12)
    assert outputs(root) == before


def test_a_file_that_changed_during_the_visit_gives_none_of_its_spans(
    root: Path, monkeypatch: pytest.MonkeyPatch, bars: list[ProgressBar]
) -> None:
    one_by_one(monkeypatch)
    plain = reading.cut_sources

    def change(rule: Any, path: Path, sources: Any) -> Any:
        for number, found in enumerate(plain(rule, path, sources)):
            if path.name == "a.mkv" and number == 1:
                path.write_bytes(path.read_bytes() + b"\0")
            yield found

    with monkeypatch.context() as patch:
        patch.setattr(reading, "cut_sources", change)
        figures = ingest_source(root, SPANS)
    assert set(rejects(root).values()) == {"changed"}
    assert (figures["accepted"], len(rejects(root)), bars[-1].counters["rejects"]) == (6, 6, 6)
    ingest_source(root, SPANS)
    assert starts(root) == STARTS


@pytest.mark.slow
def test_a_crash_at_one_span_costs_only_that_one(
    root: Path, monkeypatch: pytest.MonkeyPatch, bars: list[ProgressBar]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(reading, "cut_sources", partial(crash_at_second, 0.4))
        figures = ingest_source(root, SPANS, workers=1, backend="process")
    assert rejects(root) == {"a.mkv#t=0.4,1.1": "crash"}
    assert (figures["accepted"], figures["inputs"]) == (11, 12)
    assert [(bar.completed, bar.counters["rejects"]) for bar in bars] == [(12, 1), (1, 1)], "none is counted twice"
    assert ingest_source(root, SPANS)["decoded_now"] == 1
