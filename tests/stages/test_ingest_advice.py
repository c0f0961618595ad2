"""What the stage ``ingest`` says to do, where a dataset is here in part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.ingest_project import ingest_source
from tests.support.media import counter, write_video
from tests.support.sources import LIST
from tests.support.tars import write_tar
from walt.core.errors import RejectLimitError

TARS = {"kind": "webdataset", "tars": ["*.tar"], "caption": "txt", "damaged": "stop"}
HINT = "set source.absent: skip in its descriptor"
CAPTIONED = {"kind": "captioned_folder", "captions": "t.csv", "path_column": "path", "caption_column": "caption"}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """One video, and a table to be filled."""
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos/a.mp4", counter(50))
    return tmp_path / "videos/t.csv"


def refusal(table: Path, source: dict[str, Any], rows: str) -> str:
    """The line that a dataset with these rows ends in."""
    table.write_text(f"path,caption\n{rows}")
    with pytest.raises(RejectLimitError) as caught:
        ingest_source(table.parents[1], source)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_advice_for_a_list_with_few_files_here_names_the_option_for_that(table: Path) -> None:
    missing = "".join(f"gone{number}.mp4,a cat\n" for number in range(20))
    said = refusal(table, LIST, f"a.mp4,a dog\n{missing}")
    assert "20 of 21 inputs were rejected (20 missing), more than ingest.reject_limit" in said
    assert HINT in said
    assert HINT in refusal(table, LIST, missing)
    table.write_text(f"path,caption\na.mp4,a dog\n{missing}")
    assert ingest_source(table.parents[1], LIST | {"absent": "skip"})["inputs"] == 1


def test_other_rejects_get_no_such_advice(table: Path) -> None:
    rows = "".join(f"gone{number}.mp4,a cat\nbroken{number}.mp4,a cat\n" for number in range(9))
    for number in range(9):
        (table.parent / f"broken{number}.mp4").write_text(f"no video {number}")
    assert HINT not in refusal(table, LIST, rows), "half of them are broken"
    gone = "".join(f"gone{number}.mp4,a cat\n" for number in range(20))
    assert HINT not in refusal(table, CAPTIONED, gone), "that kind of source has no such key"


def test_arrays_beside_the_samples_of_a_tar_are_no_lost_inputs(table: Path) -> None:
    """As programs keep latents and embeddings there: most members are refused, and no input is."""
    arrays = {f"0.{number}.{suffix}": b"x" for number in range(5) for suffix in ("npy", "pt", "npz", "pth")}
    write_tar(table.parent / "a.tar", {"0.mp4": (table.parent / "a.mp4").read_bytes(), "0.txt": b"a cat", **arrays})
    figures = ingest_source(table.parents[1], TARS)
    assert (figures["accepted"], figures["rejects"]) == (1, {"pickle": 20})
    write_tar(table.parent / "a.tar", arrays)
    with pytest.raises(RejectLimitError, match=r"none of 20 inputs was accepted \(20 pickle\)"):
        ingest_source(table.parents[1], TARS)
