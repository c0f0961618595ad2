"""``walt inspect --captions``: what is shown, and a table that can be given back as corrections."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.support import ingest_project
from tests.support.settings import compute_settings
from walt.cli import app
from walt.commands.inspect.captions_sheet import captions_sheet
from walt.core.errors import StorageError
from walt.core.paths import Paths
from walt.data.manifest import read_manifest
from walt.stages import caption


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    ingest_project.make_project(tmp_path)
    ingest_project.run(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_table_given_back_changes_what_was_edited(root: Path) -> None:
    said = CliRunner().invoke(app, ["inspect", "--captions", "--clips", "6"]).output
    assert "wrote results/captions.png, results/captions.csv" in " ".join(said.split())
    with Image.open(root / "results/captions.png") as sheet:
        assert sheet.width > 600
    before = {row.key: row.captions for row in read_manifest(Paths(root).manifest)}
    with open(root / "results/captions.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(before)
    rows[3]["caption"] = "edited, with a comma"
    target = root / "datasets/captions/edited.csv"
    target.parent.mkdir(parents=True)
    with open(target, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ["key", "caption", "name"])
        writer.writeheader()
        writer.writerows(row for row in rows if row["caption"])
    caption.run(caption.Config(seed=0, caption=None, compute=compute_settings()), Paths(root))
    after = {row.key: row.captions for row in read_manifest(Paths(root).manifest)}
    assert {key for key in after if after[key] != before[key]} == {rows[3]["key"]}
    assert after[rows[3]["key"]][0].text == "edited, with a comma"
    captions_sheet(root, root / "results", 2, 0)


def test_before_ingest_one_line_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such manifest; `walt ingest` makes it"):
        captions_sheet(tmp_path, tmp_path / "results", 4, 0)
