"""``walt prepare`` and ``walt init`` for a user's own folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from walt.core.compute import ComputeConfig
from walt.core.config import load_section, read_yaml
from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.data.config import DatasetConfig, Descriptor
from walt.data.prepare import init_dataset, prepare
from walt.data.sources.kinds import CaptionedFolder

REPOSITORY = Path(__file__).resolve().parents[2]
COMPUTE = ComputeConfig(workers=1, backend="inline", device="cpu")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/table.csv").write_text("video,text\na.mp4,a cat\n")
    return tmp_path


def test_init_describes_the_folder_and_points_at_it(project: Path) -> None:
    before = (project / "params.yaml").read_text()
    descriptor = init_dataset(project, "videos", "table.csv", "video", "text", "My cats!")
    assert descriptor == "datasets/My-cats.yaml"
    described = load_section(project / descriptor, Descriptor)
    assert described.name == "My-cats"
    assert described.source == CaptionedFolder(
        kind="captioned_folder", captions="table.csv", path_column="video", caption_column="text"
    )
    assert described.generator is None
    assert described.adherence is None

    params = read_yaml(project / "params.yaml")
    expected = read_yaml(REPOSITORY / "params.yaml")
    expected["dataset"] = {"descriptor": "datasets/My-cats.yaml", "path": "videos"}
    expected["sample"]["prompts"] = "held_out"
    expected["promotion"] |= {"metric": "frechet_distance/thumbnail", "better": "lower"}
    assert params == expected
    after = (project / "params.yaml").read_text()
    comments = [line.split("#", 1)[1].strip() for line in before.splitlines() if "#" in line]
    assert len(comments) > 5
    assert all(comment in after for comment in comments)
    changed = set(after.splitlines()) - set(before.splitlines())
    assert len(changed) <= 6, f"only what must change, changes: {changed}"


def test_init_promotes_by_the_distance_that_is_measured(project: Path) -> None:
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("features: thumbnail", "features: i3d"))
    init_dataset(project, "videos", "table.csv", "video", "text", "cats")
    assert read_yaml(project / "params.yaml")["promotion"]["metric"] == "fvd"


def test_prepare_finds_what_init_described(project: Path) -> None:
    descriptor = init_dataset(project, "videos", "table.csv", "video", "text", "cats")
    dataset = DatasetConfig(descriptor=descriptor, path="videos")
    assert "cats" in prepare(dataset, COMPUTE, Paths(project))
    (project / "videos/table.csv").unlink()
    with pytest.raises(ConfigurationError, match=r"table\.csv: no such file"):
        prepare(dataset, COMPUTE, Paths(project))
    shutil.rmtree(project / "videos")
    with pytest.raises(ConfigurationError, match="videos: no such folder"):
        prepare(dataset, COMPUTE, Paths(project))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere", "table.csv", "video", "text", "x"), "nowhere: no such folder"),
        (("videos", "captions.csv", "video", "text", "x"), r"captions\.csv: no such file"),
        (("videos", "table.csv", "vidoe", "text", "x"), "no column 'vidoe'; did you mean 'video'"),
    ],
)
def test_init_changes_nothing_when_something_is_missing(
    project: Path, arguments: tuple[str, ...], message: str
) -> None:
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(ConfigurationError, match=message):
        init_dataset(project, *arguments)
    assert (project / "params.yaml").read_bytes() == before
    assert not (project / "datasets").exists()


def test_prepare_generates_what_has_a_generator(project: Path) -> None:
    text = (REPOSITORY / "datasets/shapes.yaml").read_text().replace("1600", "2").replace("400", "1")
    (project / "datasets").mkdir()
    (project / "datasets/shapes.yaml").write_text(text)
    dataset = DatasetConfig(descriptor="datasets/shapes.yaml", path="data/shapes")
    assert "made 2 clips and 1 stills" in prepare(dataset, COMPUTE, Paths(project))
    assert (project / "data/shapes/captions.csv").is_file()
