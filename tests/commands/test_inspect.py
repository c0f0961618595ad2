"""``walt inspect`` before and after ingest: figures, pictures, the page, what was refused."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner, Result

from tests.support.axe import faults_of_file, needs_axe
from tests.support.browser import needs_chromium
from tests.support.ingest_project import DESCRIPTOR as PLAIN_DESCRIPTOR
from tests.support.media import Frames, write_video
from walt.cli import app
from walt.commands.inspect import figures, inspect_page
from walt.commands.inspect.collect import choose_rows
from walt.commands.inspect.figure_tables import TableData, tables, to_rich
from walt.core.errors import ConfigurationError, CorruptArtifactError, RejectLimitError
from walt.core.paths import Paths
from walt.core.storage import write_json
from walt.data.captions import Caption
from walt.data.manifest import ClipRejectRow, ManifestRow, read_manifest, write_clip_rejects
from walt.data.shards import read_index
from walt.ingest.sources.items import Item, Refusal
from walt.media.images import decode_png, png_bytes
from walt.project.recipes import recipe_text
from walt.project.registry import get_stage
from walt.project.runner import run_stage

DESCRIPTOR = PLAIN_DESCRIPTOR.replace("A test.", "A <b>test</b>.")
CAPTION = "a <b>bold</b> & 'odd' caption"
STILLS = ((0, 200, 30), (200, 30, 0))
ODD = "bad\x1b[31mred\nname.mp4"


def moving(seed: int) -> Frames:
    """(40, 32, 48, 3): blocks of other greys for each seed, which wander to the right: no clip is like another."""
    blocks = np.random.default_rng(seed).integers(30, 220, (4, 6), dtype=np.uint8)
    picture = np.kron(blocks, np.ones((8, 8), dtype=np.uint8))[..., None].repeat(3, axis=-1)
    return np.stack([np.roll(picture, frame, axis=1) for frame in range(40)])


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project before ingest: six videos, two stills, a text with a video's name, two files without a caption."""
    root = tmp_path_factory.mktemp("listed")
    (root / "datasets").mkdir()
    (root / "datasets/test.yaml").write_text(DESCRIPTOR)
    recipe = recipe_text("tiny")
    recipe = re.sub(r"descriptor: \S+", "descriptor: datasets/test.yaml", recipe, count=1)
    (root / "params.yaml").write_text(re.sub(r"\n  path: \S+", "\n  path: videos", recipe, count=1))
    (root / "videos").mkdir()
    for index in range(6):
        write_video(root / f"videos/{index}.mp4", moving(index), fps=16)
    for index in range(2):
        Image.new("RGB", (40, 30), STILLS[index]).save(root / f"videos/{index}.png")
        (root / f"videos/silent{index}.mp4").write_text("never opened")
    (root / f"videos/{ODD}").write_text("no video")
    names = [f"{index}.mp4" for index in range(6)] + ["0.png", "1.png"]
    rows = "".join(f'{name},"{CAPTION} {name}"\n' for name in names) + f'"{ODD}",words\n'
    (root / "videos/captions.csv").write_text("path,caption\n" + rows)
    return root


@pytest.fixture(scope="module")
def ingested(listed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after ingest."""
    root = tmp_path_factory.mktemp("ingested") / "project"
    shutil.copytree(listed, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        run_stage(get_stage("ingest"), root)
    return root


def call(root: Path, *arguments: str) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return CliRunner().invoke(app, ["inspect", *arguments])


def document(root: Path, *arguments: str) -> dict[str, Any]:
    result = call(root, "--json", *arguments)
    assert result.exit_code == 0, result.exception
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture(scope="module")
def inspected(ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What the command says of the ingested project, and the folder with what it wrote; ``data`` is left alone."""
    out = tmp_path_factory.mktemp("inspected")
    before = digests(ingested / "data")
    found = document(ingested, "--out", str(out))
    assert digests(ingested / "data") == before
    return found, out


@pytest.fixture
def charts_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of figures alone: drawing takes most of the command's time, and other tests look at what is drawn."""
    monkeypatch.setattr(inspect_page, "distribution_svg", lambda chart: f"<svg>{len(chart.title)}</svg>")
    monkeypatch.setattr(
        inspect_page, "distributions_png", lambda name, charts: png_bytes(np.zeros((1, 1, 3), np.uint8))
    )


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_before_ingest(listed: Path, tmp_path: Path) -> None:
    found = document(listed, "--out", str(tmp_path))
    assert found["ingested"] is None
    assert found["listed"]["inputs"] == 11
    assert [found["listed"][key] for key in ("videos", "images", "refused")] == [7, 2, 2]
    assert found["listed"]["captions"]["with"] == 9
    headers = found["headers"]
    assert (headers["opened"], headers["listed"]) == (9, 9)
    assert headers["unusable"]["format"]["count"] == 1
    assert headers["resolutions"] == [["48x32", 6], ["40x30", 2]]
    assert headers["codecs"] == [["h264", 6], ["png", 2]]
    assert headers["fps"]["median"] == 16
    assert headers["seconds"]["max"] == 2.5
    assert headers["clip_seconds"] == 9 / 8
    assert [part for seconds, part in headers["long_enough"]] == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    assert headers["estimated_hours"] == pytest.approx(7 * 2.5 / 3600)
    assert found["rejects"]["no_caption"]["count"] == 2
    assert not (listed / "data").exists()
    assert not (listed / "work").exists()
    assert sorted(digests(tmp_path)) == ["inspect-charts.png", "inspect-clips.png", "inspect.html"]


@pytest.mark.slow
def test_fewer_headers_and_pictures_when_asked(listed: Path, tmp_path: Path) -> None:
    found = document(listed, "--sample", "3", "--clips", "0", "--out", str(tmp_path))
    assert found["headers"]["opened"] == 3
    assert "contact_sheet" not in found["files"]
    assert "Contact sheet" not in (tmp_path / "inspect.html").read_text()


@pytest.mark.slow
def test_after_ingest(ingested: Path, inspected: tuple[dict[str, Any], Path]) -> None:
    found, _ = inspected
    rows = read_manifest(Paths(ingested).manifest)
    made = found["ingested"]
    assert found["listed"] is None
    assert made["clips"] == len(rows) == 14
    assert [made[key] for key in ("sources", "videos", "images")] == [8, 12, 2]
    assert {name: split["clips"] for name, split in made["splits"].items()} == Counter(row.split for row in rows)
    assert made["seconds"] == 12 * 9 / 8
    assert made["clips_per_source"]["max"] == 2
    assert made["frames_per_clip"] == [["9", 12], ["1", 2]]
    assert made["captions"] == {
        "with": 14, "without": 0, "names": [["caption", 14]], "per_clip": None, "distinct": 8, "truncated": 0,
        "words": made["captions"]["words"],
    }  # fmt: skip
    assert made["captions"]["words"]["max"] == 6
    for size, folder in made["stored"].items():
        tars = list((ingested / "data/clips" / size).glob("*.tar"))
        assert folder == {"tars": len(tars), "clips": 14, "bytes": sum(tar.stat().st_size for tar in tars)}
    assert {code: entry["count"] for code, entry in found["rejects"].items()} == {"no_caption": 2, "format": 1}
    assert "not one of the video formats" in found["rejects"]["format"]["examples"][0]["cause"]


@pytest.mark.slow
@pytest.mark.usefixtures("charts_not_drawn")
def test_sources_are_looked_at_again_when_asked(ingested: Path, tmp_path: Path) -> None:
    found = document(ingested, "--sample", "4", "--out", str(tmp_path))
    assert found["headers"]["opened"] == 4
    assert found["ingested"]["clips"] == 14
    assert found["rejects"]["format"]["count"] == 1, "what ingest refused, not only what the list does"


@pytest.mark.slow
def test_the_contact_sheet_shows_the_stored_clips(inspected: tuple[dict[str, Any], Path]) -> None:
    found, _ = inspected
    sheet = decode_png(Path(found["files"]["contact_sheet"]).read_bytes())
    for colour in STILLS:
        pixels = (np.abs(sheet.astype(int) - colour) <= 3).all(axis=-1).sum()
        assert pixels == (2 * 64) * (2 * 128), "the largest size times two"


@pytest.mark.slow
@needs_chromium
@needs_axe
def test_nothing_keeps_people_from_using_it(inspected: tuple[dict[str, Any], Path]) -> None:
    assert faults_of_file(inspected[1] / "inspect.html") == []


def test_the_page_loads_nothing_and_escapes(inspected: tuple[dict[str, Any], Path]) -> None:
    _, out = inspected
    page = (out / "inspect.html").read_text(encoding="utf-8")
    fetched = re.findall(r"""(?:src|href)=["']([^"']*)""", page)
    assert page.count("<img ") == 14
    assert all(value.startswith(("data:", "#")) for value in fetched)
    assert "<script" not in page
    assert "<b>bold" not in page
    assert "<b>test" not in page
    assert page.count("a &lt;b&gt;bold&lt;/b&gt; &amp; &#39;odd&#39; caption") >= 14
    assert r"bad\x1b[31mred\nname.mp4" in page
    assert "\x1b" not in page


@pytest.mark.slow
def test_the_seed_decides_and_nothing_else(ingested: Path, tmp_path: Path) -> None:
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        document(ingested, "--clips", "3", "--seed", seed, "--out", str(tmp_path / name))
    same, again, other = (digests(tmp_path / name) for name in "abc")
    assert same == again
    assert same["inspect-clips.png"] != other["inspect-clips.png"]
    assert same["inspect-charts.png"] == other["inspect-charts.png"]


def test_sources_come_before_second_clips_of_one(ingested: Path) -> None:
    rows = read_manifest(Paths(ingested).manifest)
    for seed in range(5):
        chosen = choose_rows(rows, 8, seed)
        assert len({row.source_sha256 for row in chosen}) == 8
        assert chosen == sorted(chosen, key=rows.index)
    assert choose_rows(rows, 99, 0) == rows


@pytest.mark.slow
def test_tables_on_the_terminal(ingested: Path, tmp_path: Path) -> None:
    result = call(ingested, "--out", str(tmp_path))
    assert result.exit_code == 0
    text = result.stdout
    assert "8 sources accepted; 3 inputs rejected, 27 %; 14 clips: 12 videos, 2 stills; 13.5 s of video clips" in text
    assert "no_caption" in text
    assert r"bad\x1b" in text
    assert "\x1b" not in text
    assert str(tmp_path / "inspect.html") in text


@pytest.mark.parametrize("project", ["listed", "ingested"])
def test_what_was_refused_with_a_code(project: str, request: pytest.FixtureRequest) -> None:
    root: Path = request.getfixturevalue(project)
    result = call(root, "--rejects", "no_caption")
    assert result.exit_code == 0
    assert "silent0.mp4" in result.stdout
    assert "silent1.mp4" in result.stdout
    assert not (root / "results").exists(), "a list draws nothing"
    rows = json.loads(call(root, "--rejects", "no_caption", "--json").stdout)
    assert [row["source"] for row in rows] == ["silent0.mp4", "silent1.mp4"]
    assert all(row["code"] == "no_caption" and "requires one" in row["cause"] for row in rows)
    wrong = call(root, "--rejects", "no_captions")
    assert isinstance(wrong.exception, ConfigurationError)
    assert "did you mean 'no_caption'?" in str(wrong.exception)


def test_names_in_the_list_are_one_line_each(ingested: Path) -> None:
    text = call(ingested, "--rejects", "format").stdout
    assert r"bad\x1b[31mred\nname.mp4" in text
    assert "\x1b" not in text
    assert json.loads(call(ingested, "--rejects", "format", "--json").stdout)[0]["source"] == ODD


@pytest.mark.slow
@pytest.mark.usefixtures("charts_not_drawn")
def test_what_an_ingest_that_failed_refused(listed: Path, tmp_path: Path) -> None:
    root = tmp_path / "project"
    shutil.copytree(listed, root)
    params = (root / "params.yaml").read_text()
    (root / "params.yaml").write_text(re.sub(r"reject_limit: \S+", "reject_limit: 0.01", params))
    with pytest.raises(RejectLimitError):
        run_stage(get_stage("ingest"), root)
    found = document(root)
    assert found["ingested"] is None
    assert {code: entry["count"] for code, entry in found["rejects"].items()} == {"no_caption": 2, "format": 1}


@pytest.mark.slow
@pytest.mark.usefixtures("charts_not_drawn")
def test_another_dataset_is_its_files_only(ingested: Path, tmp_path: Path) -> None:
    root = tmp_path / "project"
    shutil.copytree(ingested, root)
    (root / "datasets/other.yaml").write_text(DESCRIPTOR.replace("name: test", "name: other"))
    (root / "datasets/own").mkdir()
    (root / "datasets/own/mine.yaml").write_text(DESCRIPTOR.replace("name: test", "name: other"))
    for name in ("other", "datasets/other.yaml", "mine"):
        found = document(root, name, "--path", str(root / "videos"))
        assert found["dataset"]["name"] == "other"
        assert found["ingested"] is None
        assert found["listed"]["inputs"] == 11
    assert document(root, "test")["ingested"]["clips"] == 14


@pytest.mark.slow
@pytest.mark.usefixtures("charts_not_drawn")
@pytest.mark.parametrize(
    ("files", "inputs", "captions"),
    [("videos", 11, 9), ("videos/*.mp4", 9, 0), ("videos/captions.csv", 9, 9), ("videos/0.mp4", 1, 0)],
)
def test_files_without_a_descriptor(files: str, inputs: int, captions: int, ingested: Path, tmp_path: Path) -> None:
    """A folder, a glob, a list, a file, as ``walt init --videos`` takes them; nothing is written but the page."""
    found = document(ingested, files, "--out", str(tmp_path))
    assert found["dataset"]["descriptor"] is None
    assert found["ingested"] is None
    assert (found["listed"]["inputs"], found["listed"]["captions"]["with"]) == (inputs, captions)
    assert sorted(file.name for file in (ingested / "datasets").iterdir()) == ["test.yaml"]


@pytest.mark.slow
@pytest.mark.usefixtures("charts_not_drawn")
def test_a_list_with_columns_of_other_names(listed: Path, tmp_path: Path) -> None:
    shutil.copy(listed / "params.yaml", tmp_path)
    shutil.copy(listed / "videos/0.mp4", tmp_path / "a [1].mp4")
    (tmp_path / "list [1].csv").write_text("video,text\na [1].mp4,a cat\n")
    found = document(tmp_path, "list [1].csv", "--path-column", "video", "--caption-column", "text")
    assert (found["headers"]["opened"], found["listed"]["captions"]["with"]) == (1, 1)
    assert (found["headers"]["unusable"], found["rejects"]) == ({}, {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["notes.txt"], "notes.txt: not a descriptor, folder, glob, list, video or image"),
        (["empty [1]"], "empty [1]: contains no videos or images"),
        (["empty [1]", "--rejects", "format"], "empty [1]: contains no videos or images"),
        (["empty [1]", "--path-column", "video"], "empty [1]: contains no table"),
        (["test", "--caption-column", "text"], "--caption-column: only for files without a descriptor"),
        (["--path-column", "video"], "--path-column: only for files without a descriptor"),
        (["list.csv"], "list.csv: has no rows"),
        (["tset"], "no such file; did you mean 'test.yaml'?"),
        (["other"], "--path: where are the files of 'other'? (params.yaml points at datasets/test.yaml)"),
        (["--path", "nowhere"], "--path: {root}/nowhere: no such folder"),
        ([], "dataset.path: {root}/videos: no such folder, and nothing was ingested (no data/manifest)"),
    ],
)
def test_errors_are_one_line_and_nothing_is_written(arguments: list[str], message: str, tmp_path: Path,
                                                    listed: Path) -> None:  # fmt: skip
    shutil.copytree(listed / "datasets", tmp_path / "datasets")
    shutil.copy(listed / "params.yaml", tmp_path)
    (tmp_path / "datasets/other.yaml").write_text(DESCRIPTOR.replace("name: test", "name: other"))
    (tmp_path / "empty [1]").mkdir()
    for file in ("notes.txt", "empty [1]/notes.txt"):
        (tmp_path / file).write_bytes(b"\xff")
    (tmp_path / "list.csv").write_text("video,caption\n")
    before = sorted(tmp_path.iterdir())
    result = call(tmp_path, *arguments)
    assert isinstance(result.exception, ConfigurationError)
    assert result.exception.exit_status == 2
    text = str(result.exception)
    assert message.format(root=tmp_path) in text
    assert "\n" not in text
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_clips_that_nobody_has_generated_yet_are_made_by_prepare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["init", "--recipe", "tiny"]).exit_code == 0
    said = str(call(tmp_path).exception)
    assert "data/shapes: no such folder" in said
    assert said.endswith("`walt prepare` makes the files")


@pytest.mark.slow
@pytest.mark.usefixtures("charts_not_drawn")
def test_after_ingest_the_sources_may_be_gone(ingested: Path, tmp_path: Path) -> None:
    root = tmp_path / "project"
    shutil.copytree(ingested, root)
    shutil.rmtree(root / "videos")
    found = document(root)
    assert found["ingested"]["clips"] == 14
    assert found["dataset"]["folder"] is None
    called = call(root, "--sample", "5")
    assert isinstance(called.exception, ConfigurationError)
    assert "dataset.path" in str(called.exception)


def test_a_damaged_tar_is_said(ingested: Path, tmp_path: Path) -> None:
    root = tmp_path / "project"
    shutil.copytree(ingested, root)
    folder = root / "data/clips/64x128"
    tar = folder / read_index(folder).records[0].shard
    tar.write_bytes(tar.read_bytes()[:-1])
    failed = call(root)
    assert isinstance(failed.exception, CorruptArtifactError)
    assert str(tar) in str(failed.exception)


@dataclass(frozen=True, kw_only=True)
class Screened(ManifestRow):
    """A manifest's row with columns that no version knows."""

    loudness: float | None
    source_weight: float
    original_width: int
    original_height: int
    is_odd: bool


def test_numbers_that_ingest_records_show_up_by_themselves(ingested: Path) -> None:
    rows = read_manifest(Paths(ingested).manifest)
    known: dict[str, Any] = {"source_weight": 2.5, "original_width": 48, "original_height": 32, "is_odd": False}
    screened = [
        Screened(**asdict(row), **known, loudness=index / 10 if index else None) for index, row in enumerate(rows)
    ]
    part = figures.ingested(screened, {})
    measures = part.figures["measures"]
    assert measures["loudness"]["values"] == 13
    assert measures["loudness"]["median"] == pytest.approx(0.7)
    assert measures["source_weight"]["values"] == 8, "a source counts once"
    assert not {"is_odd", "original_width", "shard"} & measures.keys()
    assert part.figures["resolutions"] == [("48x32", 8)]
    titles = [chart.title for chart in part.charts]
    assert {"Clips per source", "Resolution of the sources", "Caption length", "Loudness", "Source weight"} <= {*titles}


@pytest.mark.slow
def test_refused_clips_are_listed_apart_from_inputs(ingested: Path, tmp_path: Path) -> None:
    root = tmp_path / "project"
    shutil.copytree(ingested, root)
    refused = [
        ClipRejectRow("k", "0.mp4", "0" * 64, start, "ingest", "black", "0.9 of it is black", None)
        for start in (2.25, 1.125)
    ]
    write_clip_rejects(root / "data/clip_rejects.parquet", refused)
    found = document(root)
    assert found["clip_rejects"]["black"]["count"] == 2
    assert found["clip_rejects"]["black"]["examples"][0]["source"] == "0.mp4 at 1.125 s"
    assert "black" not in found["rejects"]
    assert "Refused clips" in call(root).stdout
    rows = json.loads(call(root, "--rejects", "black", "--json").stdout)
    assert [row["source"] for row in rows] == ["0.mp4 at 1.125 s", "0.mp4 at 2.25 s"]
    (root / "data/clip_rejects.parquet").write_bytes(b"no table")
    assert isinstance(call(root).exception, CorruptArtifactError)


@pytest.mark.slow
@pytest.mark.usefixtures("charts_not_drawn")
def test_captions_that_the_text_encoder_cut_are_shown_until_others_come(ingested: Path, tmp_path: Path) -> None:
    root = tmp_path / "project"
    shutil.copytree(ingested, root)
    assert document(root)["encoded"] is None
    result = {"clips": 14, "captions": 14, "cut": 5, "longest_cut": 21, "with_unknown": 3, "unique": 9}
    write_json(root / "work/encode-text/result.json", result)
    assert document(root)["encoded"] == {"captions": 14, "cut": 5, "longest_cut": 21, "with_unknown": 3}
    text = " ".join(call(root).stdout.split())
    assert "cut by text.max_tokens 5 36 %" in text
    assert "with unknown characters 3 21 %" in text
    assert "the longest has 21 tokens" in text
    write_json(root / "work/encode-text/result.json", result | {"captions": 13})
    assert document(root)["encoded"] is None, "it was made of another manifest"


def test_kinds_of_captions_are_counted() -> None:
    several = (Caption("short", "a cat"), Caption("dense", "a grey cat"), Caption("dense", "a cat of grey fur"))
    items = [Item("a.mp4", "", "video", several, False, None), Item("b.mp4", "", "video", several[:1], False, None),
             Item("c.mp4", "", "video", (), False, None)]  # fmt: skip
    found = figures.listed(items, []).figures["captions"]
    assert found["names"] == [("dense", 2), ("short", 2)]
    assert (found["with"], found["without"], found["distinct"]) == (2, 1, 3)
    assert (found["per_clip"]["min"], found["per_clip"]["max"]) == (0, 3)
    assert found["words"]["max"] == 5
    single = figures.listed(items[1:], []).figures["captions"]
    assert (single["names"], single["per_clip"]) == ([("short", 1)], None)


def test_labels_and_missing_captions() -> None:
    items = [Item(f"{n}.mp4", "", "video", () if n % 2 else (Caption("", "a b c"),), False, n % 30) for n in range(60)]
    part = figures.listed(items, [Refusal("x", "missing", "gone")])
    assert part.figures["captions"]["without"] == 30
    assert part.figures["captions"]["words"]["median"] == 3
    labels = part.figures["labels"]
    assert (labels["classes"], labels["without"]) == (30, 0)
    assert len(labels["largest"]) == len(labels["smallest"]) == 10
    nothing = {"headers": None, "ingested": None, "members": None, "rejects": {}, "clip_rejects": {}}
    (table,) = [table for table in tables({"listed": part.figures, **nothing}) if table.title == "30 classes"]
    assert len(table.rows) == 21
    assert table.rows[10] == ("10 classes between", "")


def test_markup_in_cells_is_text() -> None:
    table = to_rich(TableData("[red]t", ("[a]",), "l", [("[/] [bold]x",)]))
    console = Console(width=60)
    with console.capture() as capture:
        console.print(table)
    assert "[/] [bold]x" in capture.get()
    assert "[red]t" in capture.get()
