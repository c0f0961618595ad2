"""The stage report on a tiny project: what is on the page, and that the page loads nothing from elsewhere."""

from __future__ import annotations

import base64
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support.axe import faults_of_file, needs_axe
from tests.support.browser import needs_chromium
from tests.support.evaluated_project import PROMPTS, Tracked, config, write_project
from tests.support.tiny_clips import ROWS
from walt.core.digests import sha256_file
from walt.core.errors import StorageError
from walt.core.paths import Paths
from walt.core.storage import read_json, write_json
from walt.data.captions import Caption
from walt.data.manifest import ManifestRow, RejectRow, read_manifest, write_manifest, write_rejects
from walt.data.partitions import PARTS_INDEX
from walt.media.mp4 import decode_clip
from walt.pages.formats import number
from walt.project.registry import get_stage
from walt.project.report_config import ReportConfig
from walt.stages import evaluate
from walt.stages.report import Config, run, shown_figure

CAPTION = "a <b>bold</b> & 'odd' caption"
LOCK = """
schema: '2.0'
stages:
  ingest: {outs: [{path: data/clips, md5: 0a1b2c.dir}]}
  report: {outs: [{path: results/report.html, md5: dddddd}]}
"""


def report_config() -> Config:
    return Config(dataset=config().dataset, report=ReportConfig(title="Tiny run", clips=4, samples=3))


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    paths = write_project(tmp_path_factory.mktemp("project"))
    write_manifest(paths.manifest, [(0, [manifest_row(row.key, row.kind, row.split, row.shard) for row in ROWS])])
    write_rejects(paths.rejects, [RejectRow("<broken>.mp4", None, "ingest", "truncated", "10 of 20 frames")])
    (paths.root / "params.yaml").write_text("seed: 0 # <the> seed\n")
    (paths.root / "dvc.lock").write_text(LOCK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "start_run", lambda *_, **__: Tracked())
        evaluate.run(config(), paths)
    run(report_config(), paths)
    return paths


def manifest_row(key: str, kind: str, split: str, shard: int) -> ManifestRow:
    return ManifestRow(
        key=key, kind=kind, split=split, source=f"{key}.mp4", source_sha256=key, start_seconds=0.0, end_seconds=60.0,
        num_frames=5, captions=(Caption("", CAPTION),), caption_truncated=False, label=None, shard=shard, sha256="0",
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(paths: Paths) -> str:
    return paths.report.read_text(encoding="utf-8")


class Checker(HTMLParser):
    """Collects what a browser would fetch, and whether tags are closed in order."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "path", "use", "wbr"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []
        self.videos = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.videos += tag == "video"
        if tag == "video":
            assert {"autoplay", "loop", "muted", "playsinline", "controls", "aria-label"} <= {
                name for name, _ in attributes
            }
        self.fetched += [value or "" for name, value in attributes if name in ("src", "href", "xlink:href", "srcset")]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_config_has_what_the_registry_declares() -> None:
    stage = get_stage("report")
    assert set(Config.model_fields) == {*stage.params, *stage.settings}


def test_the_page_loads_nothing_from_elsewhere(page: str) -> None:
    checker = Checker(page)
    assert checker.open == []
    others = [value for value in checker.fetched if not value.startswith(("data:", "#"))]
    assert others == ["decision.html"]  # a link to the page beside it, which a browser does not fetch
    assert not re.search(r"@import|url\((?!#)", page)
    assert "<script" not in page


def test_samples_are_inside(paths: Paths, page: str) -> None:
    sample = read_json(paths.samples / "samples.json")[2]
    for name in ("file", "base_file"):
        assert base64.b64encode((paths.samples / sample[name]).read_bytes()).decode() in page
    assert sum(prompt in page for prompt in PROMPTS) == 3  # as many as report.samples says
    assert page.count("✓ direction") == 3
    assert page.count("✗ colour") == 2  # the project's first two videos have another colour
    assert "first frames" not in page


@pytest.mark.slow
def test_samples_that_begin_as_clips_do_say_as_which_and_how_these_were_drawn(paths: Paths, tmp_path: Path) -> None:
    shutil.copytree(paths.root, tmp_path / "project")
    other = Paths(tmp_path / "project")
    entries = read_json(other.samples / "samples.json")
    write_json(other.samples / "samples.json", [{**entry, "begins_as": "v3"} for entry in entries])
    run(report_config(), other)
    page = other.report.read_text(encoding="utf-8")
    assert page.count("begins as clip <code>v3</code>") == 3
    assert "The project's seed draws these clips, one of each recording before a second one of any." in page
    assert Checker(page).open == []


@pytest.mark.slow
@needs_chromium
@needs_axe
def test_nothing_keeps_people_from_using_it(paths: Paths, page: str) -> None:
    assert faults_of_file(paths.report) == []


def test_videos_of_the_page_can_be_played(page: str) -> None:
    found = re.findall(r"data:video/mp4;base64,([A-Za-z0-9+/=]+)", page)
    assert len(found) == Checker(page).videos >= 3 * 2 + 2
    assert all(decode_clip(base64.b64decode(data)).shape[0] == 5 for data in found)


def test_figures_and_tables(paths: Paths, page: str) -> None:
    metrics = read_json(paths.evaluation)["metrics"]
    assert number(metrics["frechet_distance/random_network"]) in page
    assert "Fréchet distance (random network features)" in page
    assert "FVD" not in page
    assert "67 %" in page  # colour: 4 of 6
    assert page.count('class="chart"') == 4  # three trainings and the bands
    assert "with fewer than 256 a Fréchet distance is uncertain" in page
    figure = read_json(paths.evaluation)["figures"]["frechet_distance/random_network"]
    metrics_of_page = page[page.index('id="metrics"') : page.index('id="training"')]
    assert f"Protocol: {figure['conditions']['protocol']}." in metrics_of_page
    row = re.search(r"<tr><td><code>frechet_<wbr>distance/<wbr>random_<wbr>network.*?</tr>", metrics_of_page)
    assert row is not None
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row.group())
    assert cells[1] == number(figure["value"])
    assert cells[-2] == "lower"
    assert cells[-1] == "4"  # real clips; samples are 6
    assert "Deviation" not in page, "there is one seed"
    assert f"{number(figure['low'])} to {number(figure['high'])}" in page
    assert "30 % to 90 %" in page  # of the colours
    for text in ("truncated", "10 of 20 frames", "0a1b2c.dir"):
        assert text in page
    assert "dddddd" not in page  # the page cannot hold its own hash


def test_a_figure_in_words() -> None:
    figure = {"value": 0.9375, "low": 0.85, "high": 0.98, "items": 64, "deviation": 0.01, "parts": "3 sets"}
    assert shown_figure("adherence/shape", figure) == {
        "value": "94 %", "interval": "85 % to 98 %", "deviation": "1 % over 3 sets", "clips": "64", "better": "higher",
    }  # fmt: skip
    alone = shown_figure("fvd", {**figure, "value": 12.345, "low": None, "high": None, "deviation": None})
    assert (alone["value"], alone["interval"], alone["deviation"], alone["better"]) == ("12.3", "", "", "lower")
    assert shown_figure("fvd", {**figure, "independent": 16})["clips"] == "64 from 16"


def test_text_from_outside_is_escaped(page: str) -> None:
    assert "<b>bold</b>" not in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "&lt;broken&gt;.<wbr>mp4" in page
    assert "&lt;the&gt; seed" in page


@pytest.mark.slow
def test_same_inputs_same_bytes(paths: Paths, page: str) -> None:
    run(report_config(), paths)
    assert paths.report.read_text(encoding="utf-8") == page


@pytest.mark.slow
def test_a_manifest_in_several_parts_says_the_same(paths: Paths, page: str) -> None:
    rows, index = read_manifest(paths.manifest), paths.manifest / PARTS_INDEX
    before = sha256_file(index)
    try:
        write_manifest(paths.manifest, [(1, rows[:4]), (2, rows[4:])])
        run(report_config(), paths)
        assert before in page
        assert paths.report.read_text(encoding="utf-8") == page.replace(before, sha256_file(index))
    finally:
        write_manifest(paths.manifest, [(0, rows)])
        run(report_config(), paths)


@pytest.mark.slow
def test_a_run_with_less(paths: Paths, tmp_path: Path) -> None:
    """No cascade, no adherence, no held-out loss, no rejects, no parameter file, no dvc.lock."""
    less = write_project(tmp_path)
    write_manifest(less.manifest, [(0, [manifest_row(row.key, row.kind, "train", row.shard) for row in ROWS])])
    write_rejects(less.rejects, [])
    entries = read_json(less.samples / "samples.json")
    write_json(less.samples / "samples.json", [{**entry, "base_file": None} for entry in entries])
    left_out = {"left_out": "the dataset has no adherence check"}
    conditions = {"protocol": "ucf101_class (0a1b)"}
    figure = {"value": 12.5, "low": None, "high": None, "items": 64, "deviation": 0.5, "parts": "3 sets"}
    figures = {"fvd": {**figure, "conditions": conditions}}
    write_json(less.evaluation, {"metrics": {"fvd": 12.5}, "figures": figures, "details": {"adherence": left_out}})
    run(report_config(), less)
    page = less.report.read_text(encoding="utf-8")
    assert Checker(page).open == []
    assert "FVD (I3D)" in page
    assert "ucf101_class (0a1b)" in page
    assert "Deviation" in page
    assert "0.5 over 3 sets" in page
    assert "the dataset has no adherence check" in page
    assert "params.yaml" not in page
    assert "Rejected inputs" not in page


def test_a_missing_input(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"evaluation\.json"):
        run(report_config(), Paths(tmp_path))
