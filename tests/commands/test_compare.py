"""``walt compare``: the same prompts by several models on one page, which is looked at in a browser."""

from __future__ import annotations

import json
import shutil
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.support.axe import faults_of_file, needs_axe
from tests.support.browser import browser, needs_chromium
from tests.support.tiny_models import BASE, TEXT, drawn, write_models
from tests.support.tracking import CONFIG
from walt.cli import app
from walt.commands.compare.compare_page import Column, figure_rows, page, setting_rows
from walt.commands.compare.comparison import Request, run
from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.project.recipes import recipe_text
from walt.sampling.output import Video
from walt.sampling.prompt_to_video import Pipeline
from walt.text.tiny import build_tiny_encoder
from walt.tracking import server
from walt.tracking.compared import find_compared
from walt.tracking.release_runs import DIGESTS_TAG, RELEASE_TAG
from walt.tracking.releases import release_digests, release_folders
from walt.tracking.runs import start_run
from walt.transformer.model import WaltTransformer, save_transformer

PROMPTS = ("a red circle moving left", "a <b>green</b> square")


def video(shade: int, frames: int = 17, side: int = 32) -> Video:
    """A bar that moves over a ground of that shade."""
    found = np.full((frames, side, side, 3), shade, np.uint8)
    for number in range(frames):
        found[number, :, number : number + 4] = 255 - shade
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """A project with models, and another base model beside them; of the two versions the first was evaluated."""
    return make_project(tmp_path_factory.mktemp("project"), empty_database)


def make_project(root: Path, empty_database: Path, unregistered: str = "") -> Path:
    (root / "params.yaml").write_text(recipe_text("tiny"), encoding="utf-8")
    shutil.copy(empty_database, root / "mlflow.db")
    write_models(root)
    save_transformer(root / "other", drawn(WaltTransformer(BASE), 9))
    folders, samples = release_folders(Paths(root)), root / "some samples"
    samples.mkdir()
    (samples / "00000.mp4").write_bytes(b"video")
    with start_run(CONFIG, root, "train-base", {"training": {"steps": 4}}, {}) as trained:
        for name, folder in folders.items():
            if name != unregistered:
                trained.register_model(folder, name)
        trained.register_model(root / "other", "base")
    with start_run(CONFIG, root, "evaluate", {}, {}) as evaluated:
        figures = {"adherence/both": (0.75, "0.75 [0.6, 0.9]", "on")}
        evaluated.log_release(release_digests(folders), {"seed": 0}, figures, samples, "its digest")
    return root


def test_models_are_found_by_version_alias_release_and_folder(project: Path) -> None:
    connection, paths = server.connect(CONFIG, project), Paths(project)
    connection.client.set_registered_model_alias("walt-base", "champion", "1")
    [run_of_release] = connection.client.search_runs([connection.experiment_id], "tags.stage = 'release'")
    digests = release_digests(release_folders(paths))
    for given in ("walt-base/1", "models:/walt-base@champion", run_of_release.data.tags[RELEASE_TAG], "."):
        found = find_compared(CONFIG, paths, given, project / "work/compare/fetched")
        assert release_digests(found.folders) == digests, given
        assert found.release is not None
        assert "walt-base version 1" in found.label or found.label == "release walt-base/1"
        assert found.label.startswith("this project") == (given == ".")
        assert found.release.figures == {"adherence/both": "0.75 [0.6, 0.9]"}
    other = find_compared(CONFIG, paths, "other", project / "work")
    assert release_digests(other.folders) == {**digests, "base": release_digests({"x": project / "other"})["x"]}
    assert other.release is None


@pytest.mark.slow
@pytest.mark.parametrize("of_an_earlier_version", [False, True])
def test_a_version_goes_with_the_text_encoder_that_it_was_evaluated_with(
    tmp_path: Path, empty_database: Path, of_an_earlier_version: bool
) -> None:
    """Which only a promotion registers: never with another one that the project has by now."""
    root = make_project(tmp_path, empty_database, unregistered="text-encoder")
    paths, keep = Paths(root), root / "work/compare/fetched"
    digests = release_digests(release_folders(paths))
    connection = server.connect(CONFIG, root)
    if of_an_earlier_version:
        [release] = connection.client.search_runs([connection.experiment_id], "tags.stage = 'release'")
        connection.client.delete_tag(release.info.run_id, DIGESTS_TAG)
    assert find_compared(CONFIG, paths, "walt-base/1", keep).folders["text-encoder"] == paths.text_encoder
    shutil.copytree(paths.text_encoder, root / "first")
    build_tiny_encoder(["quite", "other", "words"], TEXT.tiny, 1, paths.text_encoder)
    said = "MLflow does not have all models" if of_an_earlier_version else "the text-encoder .* is neither in the reg"
    with pytest.raises(ConfigurationError, match=said):
        find_compared(CONFIG, paths, "walt-base/1", keep)
    if not of_an_earlier_version:
        server.register(connection, None, root / "first", "text-encoder")
        found = find_compared(CONFIG, paths, "walt-base/1", keep).folders
        assert release_digests(found) == digests
        assert found["text-encoder"] != paths.text_encoder


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nowhere", r"^nowhere: no such folder, and no version of a model such as walt-base@champion or walt-base/3$"),
        ("walt-base/7", "the registry has no such model version"),
        ("walt-base/2", "it was never evaluated, so it is not known which autoencoder it goes with"),
        ("walt-sr-2x/1", "name a version of the base model"),
        ("work", "neither a project with models nor a trained base transformer"),
        ("0123456789ab", "MLflow has no such release"),
    ],
)
def test_what_is_no_model_is_refused_in_a_line(given: str, said: str, project: Path) -> None:
    (project / "work").mkdir(exist_ok=True)
    with pytest.raises(ConfigurationError, match=said):
        find_compared(CONFIG, Paths(project), given, project / "work/compare/fetched")


@pytest.mark.slow
def test_a_page_of_a_version_and_a_folder_is_made_and_logged(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    arguments = ["compare", "base/1", "other", "--steps", "2", "--out", "page.html"]
    result = CliRunner().invoke(app, [*arguments, *(word for prompt in PROMPTS for word in ("--prompt", prompt))])
    assert result.exit_code == 0, result.output
    html = (project / "page.html").read_text(encoding="utf-8")
    assert html.count("<video") == 4
    assert "a &lt;b&gt;green&lt;/b&gt; square" in html
    assert "0.75 [0.6, 0.9]" in html
    assert "higher is better" in html
    assert "MLflow has no evaluation of other" in html
    assert "http://" not in html
    assert "https://" not in html
    connection = server.connect(CONFIG, project)
    [logged] = connection.client.search_runs([connection.experiment_id], "tags.stage = 'compare'")
    assert [file.path for file in connection.client.list_artifacts(logged.info.run_id)] == ["page.html"]
    assert logged.data.params["models.0"] == "walt-base version 1"
    assert logged.info.run_id in result.output
    again = run(Request(("walt-base/1", "other"), PROMPTS, steps=2, out=Path("again.html")), project)
    assert again.read_text(encoding="utf-8") == html


@pytest.mark.slow
def test_one_model_after_the_other_is_in_memory(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as are compared, and as large as one that just fits."""
    alive: list[weakref.ref[Pipeline]] = []
    at_once: list[int] = []
    load = Pipeline.load

    def watched(**arguments: Any) -> Pipeline:
        at_once.append(sum(pipeline() is not None for pipeline in alive))
        made = load(**arguments)
        alive.append(weakref.ref(made))
        return made

    monkeypatch.setattr(Pipeline, "load", watched)
    run(Request((".", "other", "."), PROMPTS, steps=1, out=Path("one.html")), project)
    assert at_once == [0, 0, 0]


def test_nothing_is_made_of_one_model_or_into_a_stages_output(project: Path) -> None:
    with pytest.raises(ConfigurationError, match="one model: name two or more"):
        run(Request((".",), PROMPTS), project)
    with pytest.raises(ConfigurationError, match="belongs to a stage"):
        run(Request((".", "other"), PROMPTS, out=Path("results/samples/page.html")), project)
    with pytest.raises(ConfigurationError, match="--steps: 5000 is more than"):
        run(Request((".", "other"), PROMPTS, steps=5000), project)


def test_figures_of_other_measurements_are_marked_and_only_other_settings_are_shown() -> None:
    first = Column("a", [], "1", {"x": "1 [0, 2]", "y": "5"}, {"x": "on", "y": "on"}, {"rate": "0.1", "seed": "0"})
    second = Column("b", [], "2", {"x": "2 [1, 3]", "y": "6"}, {"x": "on", "y": "else"}, {"rate": "0.2", "seed": "0"})
    assert figure_rows([first, second]) == [
        {"name": "x", "better": "lower", "values": ["1 [0, 2]", "2 [1, 3]"], "same": True},
        {"name": "y", "better": "lower", "values": ["5", "6"], "same": False},
    ]
    assert setting_rows([first, second]) == [{"name": "rate", "values": ["0.1", "0.2"]}]


def test_a_model_that_one_side_does_without_is_one_row() -> None:
    """Not one for each of its settings; where the others differ in it, that is said too."""
    without = Column("a", [], settings={"base.layers": "2", "base.width": "8", "rate": "0.1"})
    small, large = (
        Column(name, [], settings={"base.layers": "2", "sr_2x.layers": layers, "sr_2x.width": "8", "sr_2x.heads": "1"})
        for name, layers in (("b", "2"), ("c", "4"))
    )
    missing = {"name": "sr_2x: all settings", "values": ["\N{EM DASH}", "there"]}
    ours = [{"name": "base.width", "values": ["8", "\N{EM DASH}"]}, {"name": "rate", "values": ["0.1", "\N{EM DASH}"]}]
    assert setting_rows([without, small]) == [*ours, missing]
    assert setting_rows([without, small, large])[2:] == [
        {"name": "sr_2x: all settings", "values": ["\N{EM DASH}", "there", "there"]},
        {"name": "sr_2x.layers", "values": ["\N{EM DASH}", "2", "4"]},
    ]


IN_STEP = """(() => { const all = [...document.querySelectorAll("video")], times = all.map(v => v.currentTime);
  return all.every(v => !v.seeking && v.readyState >= 2) && Math.abs(times[0] - WANTED) < 0.1
    && Math.max(...times) - Math.min(...times) < 0.07; })()"""
"""Whether all videos show the same moment."""


@pytest.mark.slow
@needs_chromium
def test_in_a_browser_the_videos_play_in_step_and_the_columns_line_up(tmp_path: Path) -> None:
    columns = [
        Column(
            f"model {number} with a rather long name", [video(60 * number), video(60 * number + 30)],
            figures={"adherence/both": "0.75 [0.6, 0.9]"}, settings={"rate": str(number)},
        )
        for number in range(3)
    ]  # fmt: skip
    file = tmp_path / "page.html"
    file.write_text(page(columns, PROMPTS, 0, 8, {"steps": 2}), encoding="utf-8")
    with browser() as running:
        shown = running.tab()
        shown.open(file.as_uri())
        videos = '[...document.querySelectorAll("video")]'
        shown.wait(f"{videos}.length == 6 && {videos}.every(v => v.readyState >= 2)")
        assert shown.value(f"{videos}.map(v => [v.videoWidth, v.videoHeight])") == [[32, 32]] * 6
        assert shown.value(f"{videos}.map(v => v.error)") == [None] * 6
        shown.wait(f"{videos}.every(v => v.currentTime > 0)")
        shown.wait(f"{videos}.every(v => v.getVideoPlaybackQuality().totalVideoFrames > 1)")
        shown.value(f"{videos}[4].playbackRate = 0.5")  # as one that the machine cannot play as fast
        shown.value(WATCH)
        shown.wait("spreads.length >= 90")
        spreads = sorted(json.loads(shown.value("JSON.stringify(spreads)")))
        assert spreads[len(spreads) // 2] < 0.07, "they do not play in step"
        before = shown.value(f"{videos}[0].currentTime")
        shown.wait(f"{videos}[0].currentTime < {before}")  # it has begun again
        shown.value('document.getElementById("play").click()')
        shown.wait(f"{videos}.every(v => v.paused)")
        shown.value('(() => { const p = document.getElementById("place"); p.value = 500; p.oninput(); })()')
        middle = shown.value(f"{videos}[0].duration / 2")
        shown.wait(IN_STEP.replace("WANTED", str(middle)))
        tables = json.loads(shown.value(LEFT_EDGES))
        labels = shown.value(f"{videos}.map(v => v.ariaLabel)")
        assert labels[:2] == [f"{PROMPTS[0]}, by {column.label}" for column in columns[:2]]
        shown.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
        shown.open("about:blank")
        shown.open(file.as_uri())
        shown.wait(f"{videos}.length == 6 && {videos}.every(v => v.readyState >= 2)")
        assert shown.value(f"{videos}.every(v => v.paused && v.currentTime === 0)")
        assert shown.value('document.getElementById("play").textContent') == "Play"
        shown.value('document.getElementById("play").click()')
        shown.wait(f"{videos}.every(v => v.currentTime > 0)")
    assert tables.keys() == {"videos", "figures", "settings"}
    for rows in tables.values():
        assert len(rows) > 1
        assert all(len(row) == 4 and row == rows[0] for row in rows), rows
    assert tables["videos"][0] == tables["figures"][0] == tables["settings"][0]


@pytest.mark.slow
@needs_chromium
@needs_axe
def test_nothing_keeps_people_from_using_it(tmp_path: Path) -> None:
    figures, settings = {"adherence/both": "0.75 [0.6, 0.9]"}, {"train_base.optimizer.learning_rate": "0.1"}
    columns = [
        Column(f"models:/walt-base/{number}", [video(60), video(90)], figures=figures, settings=settings)
        for number in (1, 2)
    ]
    file = tmp_path / "page.html"
    file.write_text(page(columns, PROMPTS, 0, 8, {"steps": 2}), encoding="utf-8")
    assert faults_of_file(file) == []


WATCH = """window.spreads = []; (function look() {
  const all = [...document.querySelectorAll("video")], times = all.map(v => v.currentTime);
  if (all.every(v => !v.paused && !v.seeking && !v.ended)) spreads.push(Math.max(...times) - Math.min(...times));
  requestAnimationFrame(look);
})()"""
"""Notes at each picture of the page by how much the playing videos are apart, in seconds."""


LEFT_EDGES = """JSON.stringify(Object.fromEntries([...document.querySelectorAll("table")].map(table => [table.id,
  [...table.rows].map(row => [...row.cells].map(cell => Math.round(cell.getBoundingClientRect().left)))])))"""
"""Of each cell in each row of each table."""
