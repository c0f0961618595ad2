"""``walt prepare``: source files that are made, or checked before anything is done."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.settings import compute_settings
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.core.yaml_files import yaml_bytes
from walt.ingest.config import DatasetConfig
from walt.ingest.describe_files import Given, describe_files
from walt.ingest.layouts.tables import TableColumns
from walt.ingest.prepare import prepare
from walt.ingest.taken_down import TakedownRecord, TakenDown

REPOSITORY = Path(__file__).resolve().parents[2]
COMPUTE = compute_settings(workers=1)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/table.csv").write_text("video,text\na.mp4,a cat\n")
    return tmp_path


def describe(project: Path) -> str:
    """Write the descriptor of the folder ``videos``."""
    columns = TableColumns("video", ("text",))
    descriptor = describe_files(project, Given("videos", "table.csv", columns, name="cats")).descriptor
    (project / "datasets").mkdir()
    (project / "datasets/cats.yaml").write_bytes(yaml_bytes(descriptor.model_dump()))
    return "datasets/cats.yaml"


def test_prepare_finds_what_init_described(project: Path) -> None:
    descriptor = describe(project)
    dataset = DatasetConfig(descriptor=descriptor, path="videos")
    assert "cats" in prepare(dataset, COMPUTE, Paths(project))
    (project / "videos/table.csv").unlink()
    with pytest.raises(ConfigurationError, match=r"table\.csv: no such file"):
        prepare(dataset, COMPUTE, Paths(project))
    shutil.rmtree(project / "videos")
    with pytest.raises(ConfigurationError, match="videos: no such folder"):
        prepare(dataset, COMPUTE, Paths(project))


def test_prepare_generates_what_has_a_generator(project: Path) -> None:
    text = (REPOSITORY / "datasets/shapes.yaml").read_text().replace("1600", "2").replace("400", "1")
    (project / "datasets").mkdir()
    (project / "datasets/shapes.yaml").write_text(text)
    dataset = DatasetConfig(descriptor="datasets/shapes.yaml", path="data/shapes")
    assert "made 2 clips and 1 stills" in prepare(dataset, COMPUTE, Paths(project))
    assert (project / "data/shapes/captions.csv").is_file()


def test_a_generated_file_that_was_taken_down_is_drawn_again_and_refused(project: Path) -> None:
    test_prepare_generates_what_has_a_generator(project)
    dataset = DatasetConfig(descriptor="datasets/shapes.yaml", path="data/shapes")
    file = project / "data/shapes/videos/00001.mp4"
    TakedownRecord(sha256_file(file), "asked for", "2026-05-01", 8.0, bits=None).write(project)
    file.unlink()
    prepare(dataset, COMPUTE, Paths(project))
    taken_down = TakenDown.read(project)
    refused = {path.name: taken_down.why_refused(sha256_file(path), None, 8.0) for path in file.parent.iterdir()}
    assert refused.pop("00000.mp4") is None
    assert str(refused.pop("00001.mp4")).startswith("its bytes were taken down")
    assert not refused


def test_prepare_names_the_column_that_is_missing(project: Path) -> None:
    descriptor = describe(project)
    (project / "videos/table.csv").write_text("video,txt\na.mp4,a cat\n")
    with pytest.raises(ConfigurationError, match=r"no column 'text'; did you mean 'txt'\?"):
        prepare(DatasetConfig(descriptor=descriptor, path="videos"), COMPUTE, Paths(project))
