"""``walt lineage``: down from a model to its sources, and up from a source to all that holds it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.support.lineage_project import make_lineage_project
from walt.cli import app
from walt.commands.lineage import of_source
from walt.commands.lineage.given_source import digests_of
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.data.manifest import read_manifest
from walt.data.shards import ShardReader
from walt.data.text_tables import caption_id


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Paths:
    root = tmp_path_factory.mktemp("lineage")
    shutil.copy(empty_database, root / "mlflow.db")
    return make_lineage_project(root)


def _shown(project: Paths, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("COLUMNS", "200")
    result = CliRunner().invoke(app, ["lineage", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def _json(project: Paths, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, Any]:
    output = _shown(project, monkeypatch, "--json", *arguments)
    found: dict[str, Any] = json.loads(output[output.index("{") :])
    return found


@pytest.mark.slow
def test_a_model_is_followed_down_to_its_source_files(project: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    about = _json(project, monkeypatch, "base")
    rows = read_manifest(project.manifest)
    assert {one["sha256"]: one["name"] for one in about["sources"]} == {row.source_sha256: row.source for row in rows}
    assert about["clips"]["train"] + about["clips"]["held_out"] == len(rows)
    assert about["settings"] == {"seed": "3", "training.steps": "7"}
    assert [(one["model"], one["version"]) for one in about["uses"]] == [("walt-autoencoder", "1")]
    text = _shown(project, monkeypatch, "walt-base/1")
    assert "walt-autoencoder version 1" in text
    assert "training.steps: 7" in text
    assert "a.mp4: 2 clips" in text


@pytest.mark.slow
def test_a_source_is_followed_up_to_all_that_holds_it(project: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    file = project.root / "videos/a.mp4"
    held = _json(project, monkeypatch, "--source", "videos/a.mp4")
    assert held["sources"] == [sha256_file(file)]
    assert held["names"] == ["a.mp4"]
    keys = {row.key for row in read_manifest(project.manifest) if row.source == "a.mp4"}
    assert {clip["key"] for clip in held["clips"]} == keys
    for kind, folder in (("tars", project.clips), ("latents", project.latents)):
        expected = {
            str(path.relative_to(project.root))
            for size in ("16x24", "32x32")
            for key in keys
            for path in [ShardReader(folder / size).path(key)]
        }
        assert set(held[kind]) == expected
    [text] = held["texts"]
    assert (text["id"], text["text"], text["shared"]) == (caption_id("video a"), "video a", False)
    assert ShardReader(project.text).path(text["id"]) == project.root / text["tar"]
    [cached] = held["cached"]
    assert (project.root / cached).is_file()
    assert {name.split("/")[1] for name in held["checkpoints"]} == {"train-autoencoder", "train-base"}
    assert set(held["versions"]) == {"walt-autoencoder version 1", "walt-base version 1"}
    assert "model versions (2)" in _shown(project, monkeypatch, "--source", "a.mp4")


@pytest.mark.slow
def test_a_caption_that_others_have_is_said_to_stay(tmp_path: Path) -> None:
    from tests.support import ingest_project

    ingest_project.make_project(tmp_path)
    ingest_project.add(tmp_path, {f"{name}.mp4": "the same" if name in "ab" else name for name in "abcdefg"})
    ingest_project.run(tmp_path)
    paths = Paths(tmp_path)
    both = [sha256_file(tmp_path / f"videos/{name}.mp4") for name in "ab"]
    assert [text.shared for text in of_source.find(paths, both[:1]).texts] == [True]
    assert [text.shared for text in of_source.find(paths, both).texts] == [False]


def test_a_source_is_given_by_file_name_hash_or_name_below_the_data(project: Paths) -> None:
    digest = sha256_file(project.root / "videos/a.mp4")
    for given in ("a.mp4", "videos/a.mp4", str(project.root / "videos/a.mp4"), digest, digest.upper()):
        assert digests_of(given, project, "videos") == [digest]
    assert digests_of("s3://bucket/data/a.mp4", project, "s3://bucket/data/") == [digest]


def test_what_is_no_source_is_said_without_the_secrets_of_its_address(project: Paths) -> None:
    with pytest.raises(ConfigurationError, match=r"nobody\.mp4: no file, and no source"):
        digests_of("nobody.mp4", project, "videos")


def test_a_source_that_is_nowhere_is_empty(project: Paths) -> None:
    held = of_source.find(project, ["0" * 64])
    assert [held.clips, held.tars, held.latents, held.texts, held.checkpoints, held.cached] == [()] * 6


@pytest.mark.parametrize("arguments", [[], ["base", "--source", "a.mp4"]])
def test_either_a_model_or_a_source_is_asked_for(arguments: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="say which model, or with --source"):
        CliRunner().invoke(app, ["lineage", *arguments], catch_exceptions=False)


def test_names_and_captions_are_neither_markup_nor_commands_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    from walt.commands.lineage import show
    from walt.core.log import console

    console.print(show.table_of("[bold]title[/]", [("[red]kind", ["[link=file:///etc]name[/link]\x1b]0;x\x07"])]))
    shown = capsys.readouterr().out
    assert "[link=file:///etc]name[/link]" in shown
    assert "[bold]title[/]" in shown
    assert "\x1b" not in shown
    assert "\\x1b]0;x\\x07" in shown
