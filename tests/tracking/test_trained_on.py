"""What a run keeps of the data and models that it was trained on."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.support.tracking import CONFIG
from walt.core.paths import Paths
from walt.data.clip_table import ClipRow
from walt.data.clip_table_writer import write_clip_rows
from walt.tracking import server
from walt.tracking.lineage import Registry, sources_in
from walt.tracking.runs import start_run
from walt.tracking.trained_on import count_sources, keep_sources, lineage_tags

SOURCES = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("one", "two", "three")}


def _write(folder: Path, clips: list[tuple[str, str]]) -> None:
    """Clips of these sources, in these splits."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        ClipRow(f"{number:032x}", "video", split, 0, SOURCES[source], 0.0, 5)
        for number, (source, split) in enumerate(clips)
    ]
    write_clip_rows(folder, rows)


CLIPS = [("one", "train"), ("two", "held_out"), ("one", "train"), ("three", "train"), ("two", "held_out")]


def _model(root: Path, name: str, weights: bytes) -> Path:
    folder = root / "models" / name
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def test_each_source_is_counted_by_split(tmp_path: Path) -> None:
    _write(tmp_path / "data/latents", CLIPS)
    file = keep_sources(tmp_path, "train-base")
    assert file is not None
    expected = {(SOURCES["one"], 2, 0), (SOURCES["two"], 0, 2), (SOURCES["three"], 1, 0)}
    assert set(sources_in(file)) == expected
    assert sources_in(file) == sorted(expected)
    before = file.read_bytes()
    _write(tmp_path / "data/latents", CLIPS[::-1])
    assert keep_sources(tmp_path, "train-base") == file
    assert file.read_bytes() == before, "the order of the clips is not in it"


def test_no_clips_are_an_empty_table(tmp_path: Path) -> None:
    _write(tmp_path / "clips", [])
    assert len(count_sources(tmp_path / "clips/clips.parquet")) == 0


def test_a_stage_that_trains_nothing_keeps_nothing(tmp_path: Path) -> None:
    _write(tmp_path / "data/latents", CLIPS)
    _write(tmp_path / "data/clips", CLIPS)
    assert keep_sources(tmp_path, "evaluate") is None
    assert lineage_tags(tmp_path, "evaluate", None) == {}


def test_an_autoencoder_is_trained_on_clips_and_a_transformer_on_latents(tmp_path: Path) -> None:
    _write(tmp_path / "data/clips", CLIPS[:1])
    assert keep_sources(tmp_path, "train-base") is None
    assert keep_sources(tmp_path, "train-autoencoder") == Paths(tmp_path).work("train-autoencoder") / (
        "lineage/sources.parquet"
    )


@pytest.fixture
def registry(root: Path) -> Registry:
    """Of an autoencoder of one source, a base model that saw its latents of others, and one that goes on from it."""
    _write(root / "data/clips", [("one", "train"), ("two", "held_out")])
    _write(root / "data/latents", [("three", "train")])
    autoencoder = _model(root, "autoencoder", b"a")
    with start_run(CONFIG, root, "train-autoencoder", {}, {}) as run:
        run.register_model(autoencoder, "autoencoder")
    with start_run(CONFIG, root, "train-base", {"seed": 1}, {}) as run:
        run.register_model(_model(root, "base", b"b"), "base")
    (root / "models/base/model.safetensors").unlink()
    (root / "models/base/model.safetensors").write_bytes(b"c")
    (root / "models/autoencoder/model.safetensors").unlink()
    (root / "models/autoencoder/model.safetensors").write_bytes(b"another autoencoder, of no run")
    given = {"initial_weights": "models:/walt-base/1", "initial_weights.version": "1"}
    with start_run(CONFIG, root, "train-base", {"seed": 2}, given) as run:
        run.register_model(root / "models/base", "base")
    return Registry(CONFIG, root, root / "work/lineage")


def test_versions_are_found_by_name_number_alias_and_folder(registry: Registry, root: Path) -> None:
    server.connect(CONFIG, root).client.set_registered_model_alias("walt-base", "champion", "1")
    found = Registry(CONFIG, root, root / "work/lineage")
    for given in ("base@champion", "walt-base/1", "models:/walt-base@champion", "models:/walt-base/1"):
        assert str(found.find(given, root)) == "walt-base version 1 (champion)"
    assert found.find("base", root).version == "2", "the newest"
    assert found.find("models/base", root).version == "2"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("bass", "did you mean 'base'"),
        ("base@nobody", "no such version; it has"),
        ("base/9", "no such version"),
        ("models/autoencoder", "no registered version has these files"),
    ],
)
def test_what_is_not_there_is_named(registry: Registry, root: Path, given: str, problem: str) -> None:
    from walt.core.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match=problem):
        registry.find(given, root)


def test_a_version_holds_a_source_itself_or_through_another(registry: Registry) -> None:
    held = {f"{version.name}/{version.version}": how for version, how in registry.holders([SOURCES["one"]]).items()}
    assert held == {
        "walt-autoencoder/1": "1 clips to train on",
        "walt-base/1": "through walt-autoencoder version 1",
        "walt-base/2": "through walt-base version 1",
    }
    held_out = registry.holders([SOURCES["two"]])
    assert "1 clips held out" in held_out.values()
    assert registry.holders(["0" * 64]) == {}


def test_the_table_of_a_version_is_that_of_its_run(registry: Registry, root: Path) -> None:
    run = registry.trained_by(registry.find("base/1", root))
    assert run is not None
    table = registry.sources_table(run)
    assert table is not None
    assert sources_in(table) == [(SOURCES["three"], 1, 0)]
    assert run.params == {"seed": "1"}
    assert [str(one) for one in registry.uses(run)] == ["walt-autoencoder version 1"]


@pytest.mark.slow
def test_a_model_that_is_published_as_it_was_given_has_no_sources_of_this_project(root: Path) -> None:
    _write(root / "data/clips", CLIPS)
    with start_run(CONFIG, root, "train-autoencoder", {}, {"frozen": "somewhere"}) as run:
        run.register_model(_model(root, "autoencoder", b"a"), "autoencoder")
    registry = Registry(CONFIG, root, root / "work/lineage")
    assert registry.holders([SOURCES["one"]]) == {}
