"""What ``walt prepare`` tells DVC; with DVC itself: ``tests/end_to_end/test_hidden_edits.py``."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.sources import describe, touch
from walt.commands.prepare import forget, tell_dvc, tell_of_tables
from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.core.yaml_files import yaml_bytes
from walt.ingest.config import DatasetConfig

LOCK = """schema: '2.0'
stages:
  ingest:
    cmd: walt ingest
    deps:
    - path: data/set
      md5: 0123.dir
  train-autoencoder:
    cmd: walt train-autoencoder
"""


def test_a_stage_is_forgotten_and_the_rest_of_the_lock_stays(tmp_path: Path) -> None:
    assert not forget(tmp_path, "ingest"), "nothing was ever run"
    (tmp_path / "dvc.lock").write_text(LOCK)
    assert forget(tmp_path, "ingest")
    lock = YAML(typ="safe").load((tmp_path / "dvc.lock").read_text())
    assert lock == {"schema": "2.0", "stages": {"train-autoencoder": {"cmd": "walt train-autoencoder"}}}
    before = (tmp_path / "dvc.lock").stat().st_ino
    assert not forget(tmp_path, "ingest")
    assert (tmp_path / "dvc.lock").stat().st_ino == before


def test_files_behind_a_link_make_ingest_stale_once(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/a.mp4", "set/b.mp4")
    (tmp_path / "set/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "dvc.lock").write_text(LOCK)
    dataset = DatasetConfig(descriptor="d.yaml", path="set")
    (line,) = tell_dvc(dataset, Paths(tmp_path))
    assert "1 in all" in line
    assert "linked/a.mp4" in line
    (tmp_path / "dvc.lock").write_text(LOCK)
    assert tell_dvc(dataset, Paths(tmp_path)) == []
    assert (tmp_path / "dvc.lock").read_text() == LOCK


@pytest.mark.parametrize("name", ["a.mp4", "deep/notes", ".hidden"])
def test_a_link_that_leads_nowhere_is_named_before_dvc_meets_it(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "set/b.mp4", "set/deep/c.mp4")
    (tmp_path / "set" / name).symlink_to("/nowhere/at/all")
    with pytest.raises(ConfigurationError, match=rf"set/{name} is a link that leads nowhere"):
        tell_dvc(DatasetConfig(descriptor="d.yaml", path="set"), Paths(tmp_path))


@pytest.mark.parametrize("name", [".dvcignore", "deep/.dvcignore"])
def test_an_ignore_file_in_the_data_is_named_before_dvc_meets_it(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "set/b.mp4", "set/deep/c.mp4", f"set/{name}")
    with pytest.raises(ConfigurationError, match=rf"set/{name}: DVC refuses this inside of data"):
        tell_dvc(DatasetConfig(descriptor="d.yaml", path="set"), Paths(tmp_path))


def test_what_is_no_file_is_named_before_dvc_meets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "set/b.mp4")
    monkeypatch.chdir(tmp_path / "set")  # a socket's path may have 108 bytes
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("s")
        with pytest.raises(ConfigurationError, match="set/s is a pipe, a socket or a device, which DVC cannot read"):
            tell_dvc(DatasetConfig(descriptor="d.yaml", path="set"), Paths(tmp_path))


FOLDER = {"kind": "captioned_folder", "captions": "{}", "path_column": "path", "caption_column": "caption"}
TABLES = {"kind": "list", "tables": ["{}"], "path_column": "path", "caption_columns": ["caption"], "absent": "refuse"}


@pytest.mark.parametrize("source", [FOLDER, TABLES], ids=["folder", "list"])
def test_captions_outside_the_folder_make_ingest_stale_when_they_change(tmp_path: Path, source: dict[str, Any]) -> None:
    touch(tmp_path, "set/a.mp4", "inside/a.mp4", "inside/t.csv")
    for name, table in (("d", "../t.csv"), ("i", "t.csv")):
        named = {
            key: [table] if value == ["{}"] else table if value == "{}" else value for key, value in source.items()
        }
        (tmp_path / f"{name}.yaml").write_bytes(yaml_bytes(describe(named).model_dump(mode="json")))
    dataset = DatasetConfig(descriptor="d.yaml", path="set")
    (tmp_path / "t.csv").write_text("path,caption\n")
    assert tell_of_tables(dataset, Paths(tmp_path)) == [], "nothing was ever run"
    (tmp_path / "dvc.lock").write_text(LOCK)
    assert tell_of_tables(dataset, Paths(tmp_path)) == [], "it did not change"
    (tmp_path / "t.csv").write_text("path,caption\na.mp4,a cat\n")
    (line,) = tell_of_tables(dataset, Paths(tmp_path))
    assert "t.csv: ingest is stale" in line
    assert "ingest" not in (tmp_path / "dvc.lock").read_text()
    (tmp_path / "dvc.lock").write_text(LOCK)
    assert tell_of_tables(dataset, Paths(tmp_path)) == []
    assert tell_of_tables(DatasetConfig(descriptor="i.yaml", path="inside"), Paths(tmp_path)) == []
    assert (tmp_path / "dvc.lock").read_text() == LOCK


@pytest.mark.parametrize(
    "text",
    ["<<<<<<< HEAD\n" + LOCK + "=======\n" + LOCK, "- a list", "text", "stages: [a]\nb", "stages: 5", b"stages: \xff"],
)
def test_a_lock_that_dvc_did_not_write_is_named(tmp_path: Path, text: str | bytes) -> None:
    data = text.encode() if isinstance(text, str) else text
    (tmp_path / "dvc.lock").write_bytes(data)
    with pytest.raises(ConfigurationError, match=r"dvc\.lock: not what DVC writes") as caught:
        forget(tmp_path, "ingest")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "dvc.lock").read_bytes() == data


@pytest.mark.parametrize("text", ["", "schema: '2.0'\n", "schema: '2.0'\nstages:\n", "stages: {}\n"])
def test_in_a_lock_without_stages_there_is_none_to_forget(tmp_path: Path, text: str) -> None:
    (tmp_path / "dvc.lock").write_text(text)
    assert not forget(tmp_path, "ingest")
    assert (tmp_path / "dvc.lock").read_text() == text


def test_a_bucket_needs_no_report_to_dvc(tmp_path: Path) -> None:
    assert tell_dvc(DatasetConfig(descriptor="d.yaml", path="s3://bucket/set"), Paths(tmp_path)) == []
    assert not (tmp_path / "work").exists()
