"""Looks into files end with no file's reader, whatever it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.media import counter, write_video
from tests.support.miniatures import describe
from tests.support.worker_tasks import name_unless_it_says_otherwise
from walt.ingest.layouts import headers_of_files
from walt.ingest.layouts.headers_of_files import look_into, seconds_of, tags_of
from walt.ingest.layouts.survey import Survey
from walt.ingest.sources.folders import open_folder
from walt.workers.outcomes import MapLimits


def survey(folder: Path) -> Survey:
    return Survey.of(open_folder(folder, "."))


@pytest.mark.slow
def test_a_file_that_kills_or_hangs_its_reader_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["a.mp4", "hangs.mp4", "kills.mp4", "none.mp4", "z.mp4"]
    for name in names:
        (tmp_path / name).write_bytes(b"a video")
    monkeypatch.setattr(headers_of_files, "_LIMITS", MapLimits(1, 1.0, None))
    found = look_into(survey(tmp_path), names, name_unless_it_says_otherwise)
    assert found == {"a.mp4": "a.mp4", "z.mp4": "z.mp4"}


@pytest.mark.slow
def test_what_headers_say(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", counter(12), fps=8)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    names = ["a.mp4", "b.mp4", "c.mp4"]
    assert seconds_of(survey(tmp_path), names) == {"a.mp4": 1.5}
    assert list(tags_of(survey(tmp_path), names)) == ["a.mp4"]


@pytest.mark.slow
def test_of_spans_beyond_the_ends_the_file_is_named_that_could_be_opened(tmp_path: Path) -> None:
    """That with the last span cannot."""
    (tmp_path / "d").mkdir()
    for name in "ab":
        write_video(tmp_path / f"d/{name}.mp4", counter(16), fps=8)
    (tmp_path / "d/c.mp4").write_bytes(b"no video")
    parts = {name: [{"start": 0, "end": 500, "caption": "x"}, {"start": 500, "end": end, "caption": "y"}]
             for name, end in (("a", 900), ("b", 950), ("c", 2000))}  # fmt: skip
    described = describe(tmp_path, {"t.json": [{"video": f"{name}.mp4", "events": own} for name, own in parts.items()]})
    assert any("in 'b.mp4', which lasts 2.0 s" in line for line in described.lines()), " | ".join(described.lines())
