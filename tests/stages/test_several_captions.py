"""Clips with several captions, from the dataset's own table to the manifest, the embeddings and the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest

from tests.support.ingest_project import ingest_source, untouched
from tests.support.media import counter, write_video
from tests.support.sources import LIST
from tests.support.text_project import CONFIG, run_encode_text
from walt.core.paths import Paths
from walt.data.captions import Caption
from walt.data.manifest import read_manifest
from walt.data.text_dataset import TextDataset
from walt.pages.report_dataset import describe_dataset, survey

SOURCE = LIST | {"caption_columns": ["short", "dense"]}
TABLE = "path,short,dense\na.mp4,a cat,a grey cat on a mat\nb.mp4,,a grey cat on a mat\nc.mp4,a dog,\nd.mp4,,\n"
"""Two captions, one of either kind, and none."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Paths, dict[str, Any]]:
    root = tmp_path_factory.mktemp("project")
    (root / "videos").mkdir()
    for number, name in enumerate("abcd"):
        write_video(root / f"videos/{name}.mp4", counter(6 + number), fps=8)
    (root / "videos/t.csv").write_text(TABLE)
    return Paths(root), ingest_source(root, SOURCE, caption_required=False)


def test_the_manifest_has_all_captions_with_their_names(made: tuple[Paths, dict[str, Any]]) -> None:
    paths, figures = made
    assert {row.source: row.captions for row in read_manifest(paths.manifest)} == {
        "a.mp4": (Caption("short", "a cat"), Caption("dense", "a grey cat on a mat")),
        "b.mp4": (Caption("dense", "a grey cat on a mat"),),
        "c.mp4": (Caption("short", "a dog"),),
        "d.mp4": (),
    }
    assert figures["captions"] == {"dense": 2, "short": 2}
    assert (figures["clips"], figures["uncaptioned"], figures["captions_cut"]) == (4, 1, 0)


def test_others_read_the_captions_as_lists_of_structs(made: tuple[Paths, dict[str, Any]]) -> None:
    paths, _ = made
    folder = pyarrow.dataset.dataset(paths.manifest, format="parquet")
    table = folder.to_table(columns=["source", "captions"])
    captions = dict(zip(table["source"].to_pylist(), table["captions"].to_pylist(), strict=True))
    assert captions["a.mp4"][1] == {"name": "dense", "text": "a grey cat on a mat"}
    assert captions["d.mp4"] == []
    frame = table.to_pandas().set_index("source")
    assert [caption["text"] for caption in frame.loc["a.mp4", "captions"]] == ["a cat", "a grey cat on a mat"]


def test_the_report_counts_captions_by_their_names(made: tuple[Paths, dict[str, Any]]) -> None:
    paths, _ = made
    found = describe_dataset(survey(paths.manifest), paths.rejects)
    shown = {name: count for name, count in found.items() if "aptions" in name}
    assert shown == {"Captions: dense": 2, "Captions: short": 2, "Distinct captions": 3}


def test_each_caption_has_its_embedding(made: tuple[Paths, dict[str, Any]]) -> None:
    paths, _ = made
    figures = run_encode_text(CONFIG, paths)
    assert (figures["clips"], figures["captions"], figures["unique"]) == (4, 4, 4)
    rows = {row.source: row.key for row in read_manifest(paths.manifest)}
    text = TextDataset(paths.text)
    assert [text.names(rows[name]) for name in ("a.mp4", "d.mp4")] == [("short", "dense"), ()]
    same, _ = text.embeddings([rows["a.mp4"], rows["b.mp4"]], [1, 0])
    assert same[0].equal(same[1]), "the same text, whichever clip and place"


def test_a_further_kind_of_caption_leaves_clips_alone(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos/a.mp4", counter(6), fps=8)
    (tmp_path / "videos/t.csv").write_text("path,short\na.mp4,a cat\n")
    ingest_source(tmp_path, LIST | {"caption_columns": ["short"]})
    clips = untouched(tmp_path / "data/clips")
    (tmp_path / "videos/t.csv").write_text("path,short,dense\na.mp4,a cat,a grey cat\n")
    assert ingest_source(tmp_path, SOURCE)["captions"] == {"dense": 1, "short": 1}
    assert untouched(tmp_path / "data/clips") == clips
