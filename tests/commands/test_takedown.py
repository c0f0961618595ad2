"""``walt takedown``: a source is nowhere afterwards, nothing else has changed, and it does not come back."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import NoReturn

import pytest
from typer.testing import CliRunner

from tests.support import ingest_project
from tests.support.disguises import DISGUISES
from tests.support.places import digests
from tests.support.settings import recipe
from tests.support.takedown_project import caption_of, copy_to_store, make_takedown_project
from tests.support.tracking import CONFIG
from walt.cli import app
from walt.commands.lineage.of_source import Holdings, find
from walt.commands.takedown import take_down
from walt.commands.takedown.fingerprints import pictures_of
from walt.commands.takedown.search import Needles, search
from walt.commands.takedown.take_down import Request, source_folder
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.data.manifest import read_manifest, read_rejects
from walt.project.registry import get_stage
from walt.project.runner import run_stage
from walt.tracking import server
from walt.tracking.lineage import TAKEDOWN_TAG, Registry

COUNT, TAKEN = 40, 7


def _run(root: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["takedown", *arguments], catch_exceptions=False, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def _needles(paths: Paths, held: Holdings) -> Needles:
    """What must be nowhere: found before the takedown, with no help of what it keeps."""
    pictures = pictures_of(paths, held.clips)
    return Needles(
        keys=frozenset(clip.key for clip in held.clips) | {text.id for text in held.texts},
        captions=frozenset(text.text for text in held.texts),
        sources=frozenset(held.sources),
        pictures=frozenset(digest for one in pictures.values() for digest in one.digests),
    )


def _state(root: Path) -> dict[str, str]:
    """Digest of each file of the data, the models and the sources."""
    folders = ("data", "models", "videos")
    return {f"{folder}/{name}": digest for folder in folders for name, digest in digests(root / folder).items()}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Paths:
    root = tmp_path_factory.mktemp("takedown")
    shutil.copy(empty_database, root / "mlflow.db")
    paths = make_takedown_project(root, COUNT)
    (root / ".dvc").mkdir()
    (root / ".dvc/config").write_text("['remote \"store\"']\n    url = ../store\n")
    for store in (root / ".dvc/cache", root / "store"):
        copy_to_store(root, store)
    samples = root / "results/samples"
    samples.mkdir(parents=True)
    entry = {"file": "00000.mp4", "prompt": caption_of(TAKEN), "seed": 0, "index": 0, "settings": {}, "models": {}}
    (samples / "samples.json").write_text(json.dumps([entry]))
    (samples / "00000.mp4").write_bytes(b"made with " + caption_of(TAKEN).encode())
    client = server.connect(CONFIG, root).client
    run_id = Registry(CONFIG, root, root / "work/lineage").find("base", root).run_id
    client.log_artifact(run_id, str(samples / "samples.json"), "samples")
    client.set_registered_model_alias("walt-base", "champion", "1")
    (root / "results/report.html").write_text("<img src='a picture of a clip'>")
    return paths


@pytest.mark.slow
def test_one_of_forty_sources_is_nowhere_afterwards_and_does_not_come_back(
    project: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project.root
    monkeypatch.chdir(root)
    source, kept_copy = root / f"videos/{TAKEN}.mp4", tmp_path / "kept.mp4"
    shutil.copy(source, kept_copy)
    held = find(project, [sha256_file(source)])
    needles = _needles(project, held)
    assert len(held.clips) > 1
    before = _state(root)
    found_before = {str(path.relative_to(root)) for path in search(root, needles).found}
    for place in ("data/clips", "data/latents", "data/text", "data/manifest", ".dvc/cache", "store", "mlartifacts",
                  "results/samples", "work/ingest", "videos"):  # fmt: skip
        assert any(name.startswith(place) for name in found_before), f"the search sees it in {place}"

    dry = _run(root, f"videos/{TAKEN}.mp4", "--reason", "asked", "--dry-run")
    assert "would be removed" in dry
    assert not list((root / "datasets").glob("takedowns/*"))
    assert before == _state(root)

    said = _run(root, f"videos/{TAKEN}.mp4", "--reason", "asked", "--delete-source")
    assert "walt-base version 1 (champion)" in said
    assert "`dvc repro` and `walt promote`" in said.replace("\n", " ")
    assert "videos/captions.csv" in said, "whose line only its owner may remove"
    ingest_project.add(root, {f"{n}.mp4": caption_of(n) for n in range(COUNT) if n != TAKEN})
    left = search(root, needles)
    assert not left.found
    assert not left.unread
    assert sha256_file(kept_copy) in needles.sources

    after = _state(root)
    gone = before.keys() - after.keys()
    changed = {name for name in before.keys() & after.keys() if before[name] != after[name]}
    rewritten = {*held.tars, *held.latents, *held.parts, *(text.tar for text in held.texts)}
    tars = {name for name in {*gone, *changed} if name.endswith(".tar")}
    assert tars <= {name for name in rewritten if name}, "no other tar was written"
    assert len(tars) < sum(name.endswith(".tar") for name in before) / 4
    assert not {name for name in changed if name.startswith(("models/base", "models/autoencoder", "videos/"))} - {
        "videos/captions.csv"
    }
    versions = Registry(CONFIG, root, root / "work/lineage").versions
    assert {version.tags.get(TAKEDOWN_TAG) for version in versions} == {held.sources[0][:16]}

    others = {row.key: row.sha256 for row in read_manifest(project.manifest)}
    captions = {f"{n}.mp4": caption_of(n) for n in range(COUNT) if n != TAKEN}
    for name, disguise in DISGUISES.items():
        captions[disguise(kept_copy, root / "videos").name] = name
    ingest_project.add(root, captions)
    run_stage(get_stage("ingest"), root)
    refused = {row.source: row.code for row in read_rejects(project.rejects)}
    assert refused == dict.fromkeys(list(captions)[-len(DISGUISES) :], "taken_down")
    assert {row.key: row.sha256 for row in read_manifest(project.manifest)} == others
    assert not {path for path in search(root, needles).found if not path.is_relative_to(root / "videos")}


@pytest.fixture
def small(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    return make_takedown_project(tmp_path, 3)


@pytest.mark.slow
def test_a_list_of_sources_is_taken_down_at_once(small: Paths) -> None:
    (small.root / "list.txt").write_text(f"0.mp4\n\n{sha256_file(small.root / 'videos/1.mp4')}\n")
    said = _run(small.root, "--list", "list.txt", "--reason", "asked", "--same-bytes")
    assert {row.source for row in read_manifest(small.manifest)} == {"2.mp4"}
    records = [json.loads(path.read_text()) for path in sorted((small.root / "datasets/takedowns").glob("*.json"))]
    assert [(record["reason"], record["bits"]) for record in records] == [("asked", None)] * 2
    assert "rm videos/0.mp4" in said
    assert (small.root / "videos/0.mp4").is_file(), "without --delete-source"
    assert not re.search("scene|0.mp4", json.dumps(records)), "no caption and no name is kept"
    text = next((small.root / "work/takedown").glob("*-report.json")).read_text()
    assert "scene" not in text


@pytest.mark.slow
@pytest.mark.parametrize("stopped_at", ["_tag", "not_searched"])
def test_one_that_was_stopped_finds_the_copies_when_it_is_run_again(
    small: Paths, monkeypatch: pytest.MonkeyPatch, stopped_at: str
) -> None:
    """The tables do not hold the source any more then, nor, at the latter place, is its file there."""
    root = small.root
    copy_to_store(root, root / ".dvc/cache")
    needles = _needles(small, find(small, [sha256_file(root / "videos/0.mp4")]))
    request = Request(("videos/0.mp4",), "asked", delete_source=True)

    def stopped(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(take_down, stopped_at, stopped)
        with pytest.raises(KeyboardInterrupt):
            take_down.run(request, root)
    assert (root / "videos/0.mp4").exists() is (stopped_at == "_tag")
    take_down.run(request, root)
    assert {str(path.relative_to(root)) for path in search(root, needles).found} <= {"videos/captions.csv"}
    assert not list((root / "work/takedown").glob("*-unfinished.json")), "it holds the captions"


@pytest.mark.slow
def test_a_source_outside_of_the_project_is_found_and_deleted(
    small: Paths, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As ``walt init --videos ~/my-videos`` has it."""
    outside = tmp_path_factory.mktemp("elsewhere") / "videos"
    shutil.move(small.root / "videos", outside)
    params = small.root / "params.yaml"
    params.write_text(params.read_text().replace('"path": "videos"', f'"path": "{outside}"'))
    samples = small.root / "results/samples"
    samples.mkdir(parents=True)
    prompts = {"00000": caption_of(0), "00001": caption_of(1)}
    (samples / "samples.json").write_text(
        json.dumps([{"file": f"{name}.mp4", "prompt": prompt} for name, prompt in prompts.items()])
    )
    for name in ("00000.mp4", "00000.png", "00001.mp4", "00001.png", "grid.png"):
        (samples / name).write_text(f"pixels of {name}, in which no text is found")
    (small.root / "mlartifacts").mkdir(exist_ok=True)
    shutil.copy(samples / "00000.png", small.root / "mlartifacts/copy")
    dry = _run(small.root, "0.mp4", "--reason", "asked", "--dry-run").replace("\n", "")
    assert f"would stay, since --delete-source is not given: rm {outside}/0.mp4" in dry
    assert f"would stay, to be edited by whoever keeps it: {outside}/captions.csv (caption)" in dry
    assert "would be removed or written again without it: data/clips/clips.parquet (key)" in dry
    assert (outside / "0.mp4").is_file()
    said = _run(small.root, "0.mp4", "--reason", "asked", "--delete-source").replace("\n", "")
    assert f"removed {outside}/0.mp4 (bytes)" in said
    assert sorted(path.name for path in outside.glob("*.mp4")) == ["1.mp4", "2.mp4"]
    assert sorted(path.name for path in samples.iterdir()) == ["00001.mp4", "00001.png"]
    assert not (small.root / "mlartifacts/copy").exists()


def test_sources_that_are_not_here_are_left_to_whoever_keeps_them(tmp_path: Path) -> None:
    params = recipe()
    for place, folder in (("s3://bucket/videos", None), ("nowhere", None), ("here", tmp_path / "here")):
        (tmp_path / "here").mkdir(exist_ok=True)
        dataset = params.dataset.model_copy(update={"path": place})
        assert source_folder(tmp_path, params.model_copy(update={"dataset": dataset})) == folder


def test_further_folders_are_searched_and_nothing_is_read_twice(tmp_path: Path) -> None:
    root, outside = tmp_path / "around/project", tmp_path / "around"
    (root / ".dvc/cache").mkdir(parents=True)
    for file in (root / "a.txt", root / ".dvc/cache/b", outside / "c.txt"):
        file.write_text("a caption")
    found = search(root, Needles(captions=frozenset(["a caption"])), [root / ".dvc/cache", outside])
    assert {*found.found} == {root / "a.txt", root / ".dvc/cache/b", outside / "c.txt"}
    assert found.files == 3


@pytest.mark.slow
def test_a_second_takedown_of_the_same_source_keeps_what_it_is_known_by(small: Paths) -> None:
    _run(small.root, "0.mp4", "--reason", "asked")
    [path] = (small.root / "datasets/takedowns").glob("*.json")
    first = json.loads(path.read_text())
    assert first["frames"]
    _run(small.root, "videos/0.mp4", "--reason", "asked again")
    again = json.loads(path.read_text())
    assert (again["frames"], again["fps"], again["date"]) == (first["frames"], first["fps"], first["date"])
    assert again["reason"] == "asked again"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "say which source"),
        (["a.mp4"], "--reason is missing"),
        (["--list", "nowhere.txt", "--reason", "x"], "nowhere.txt: cannot be read"),
    ],
)
def test_what_is_missing_is_said(arguments: list[str], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        CliRunner().invoke(app, ["takedown", *arguments], catch_exceptions=False)
