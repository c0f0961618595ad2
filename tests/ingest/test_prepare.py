"""``walt prepare`` and ``walt init`` for a user's own folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.s3 import Bucket
from walt.core import remote
from walt.core.compute import ComputeConfig
from walt.core.config import load_section, read_yaml
from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.ingest.config import DatasetConfig, Descriptor
from walt.ingest.prepare import prepare
from walt.ingest.sources.kinds import CaptionedFolder, FileList, PlainFolder
from walt.project.point_at_dataset import init_dataset

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


# ------------------------------------------------------------------------------------------- other words for --videos


def init(project: Path, videos: str, captions: str | None = None, name: str | None = None) -> Descriptor:
    """Describe, and read the descriptor that ``params.yaml`` then points at."""
    descriptor = init_dataset(project, videos, captions, "path", "caption", name)
    assert read_yaml(project / "params.yaml")["dataset"]["descriptor"] == descriptor
    return load_section(project / descriptor, Descriptor)


def dataset_path(project: Path) -> str:
    path: str = read_yaml(project / "params.yaml")["dataset"]["path"]
    return path


@pytest.fixture
def folder(project: Path) -> Path:
    """A folder with one video and no table."""
    (project / "clips/deep").mkdir(parents=True)
    (project / "clips/deep/a.mp4").write_bytes(b"x")
    return project / "clips"


def test_a_folder_without_a_table_is_taken_without_captions(project: Path, folder: Path) -> None:
    described = init(project, "clips")
    assert (described.name, described.caption_required) == ("clips", False)
    assert described.source == PlainFolder(kind="folder", patterns=("**/*",))
    assert read_yaml(project / "params.yaml")["sample"]["prompts"] == "none"
    (folder / "captions.csv").write_text("path,caption\ndeep/a.mp4,a cat\n")
    described = init(project, "clips")
    assert isinstance(described.source, CaptionedFolder), "captions.csv is used where it is there"
    assert read_yaml(project / "params.yaml")["sample"]["prompts"] == "held_out"


@pytest.mark.parametrize(
    ("glob", "path", "pattern"),
    [("clips/**/*.mp4", "clips", "**/*.mp4"), ("clips/deep/*", "clips/deep", "*"), ("**/a.mp4", ".", "**/a.mp4")],
)
@pytest.mark.usefixtures("folder")
def test_a_glob(project: Path, glob: str, path: str, pattern: str) -> None:
    assert init(project, glob).source == PlainFolder(kind="folder", patterns=(pattern,))
    assert dataset_path(project) == path
    dataset = DatasetConfig(descriptor=f"datasets/{Path(path).resolve().name}.yaml", path=path)
    if path != ".":
        assert "is there" in prepare(dataset, COMPUTE, Paths(project))


@pytest.mark.parametrize("where", ["", "clips/"])
def test_a_list(project: Path, folder: Path, where: str) -> None:
    (project / f"{where}my list.csv").write_text("path,caption\na.mp4,a cat\n")
    described = init(project, f"{where}my list.csv")
    assert (described.name, described.caption_required) == ("my-list", True)
    assert isinstance(described.source, FileList)
    assert (described.source.tables, described.source.caption_columns) == (("my list.csv",), ("caption",))
    assert dataset_path(project) == (where.rstrip("/") or ".")


@pytest.mark.parametrize(("where", "path"), [("", "."), ("clips/", "clips")])
@pytest.mark.usefixtures("folder")
def test_a_single_file(project: Path, where: str, path: str) -> None:
    """And not what its name would match as a glob."""
    for name in ("a [1].mp4", "a 1.mp4"):
        (project / f"{where}{name}").write_bytes(b"x")
    described = init(project, f"{where}a [1].mp4")
    assert (described.name, described.caption_required) == ("a-1", False)
    assert (described.source, dataset_path(project)) == (PlainFolder(kind="folder", patterns=("a [1].mp4",)), path)


ODD = "-vidéos [2020] *?"


@pytest.mark.parametrize(
    ("words", "name", "path", "source"),
    [
        (ODD, "vid-os-2020", ODD, PlainFolder(kind="folder", patterns=("**/*",))),
        (f"{ODD}/*.mp4", "vid-os-2020", ODD, PlainFolder(kind="folder", patterns=("*.mp4",))),
        (f"{ODD}/list [1].csv", "list-1", ODD, FileList(
            kind="list", tables=("list [1].csv",), path_column="path", caption_columns=("caption",),
            label_column=None, span_columns=None, videos="", absent="refuse",
        )),
    ],
)  # fmt: skip
def test_what_is_called_like_a_glob_is_itself(
    project: Path, words: str, name: str, path: str, source: PlainFolder | FileList
) -> None:
    """Though ``list 1.csv``, which is no such table, would match as well."""
    (project / ODD).mkdir()
    (project / ODD / "a.mp4").write_bytes(b"x")
    (project / ODD / "list [1].csv").write_text("path,caption\na.mp4,a cat\n")
    (project / ODD / "list 1.csv").write_text("nothing\n")
    described = init(project, words)
    assert (described.name, described.source, dataset_path(project)) == (name, source, path)
    assert "is there" in prepare(DatasetConfig(descriptor=f"datasets/{name}.yaml", path=path), COMPUTE, Paths(project))


def test_what_is_called_like_a_glob_in_a_bucket(project: Path, bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,caption\na.mp4,a cat\n")
    for name in ("cats [1]/a.mp4", "list [1].csv", "a.mp4"):
        remote.upload(tmp_path / "t.csv", f"{bucket.url}/odd/{name}")
    described = init(project, f"{bucket.url}/odd/cats [1]")
    assert (described.name, dataset_path(project)) == ("cats-1", f"{bucket.url}/odd/cats [1]")
    described = init(project, f"{bucket.url}/odd/list [1].csv")
    assert (described.source.kind, dataset_path(project)) == ("list", f"{bucket.url}/odd")


def test_a_bucket(project: Path, bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,caption\na.mp4,a cat\n")
    remote.upload(tmp_path / "t.csv", f"{bucket.url}/cats/t.csv")
    remote.upload(tmp_path / "t.csv", f"{bucket.url}/cats/a.mp4")
    described = init(project, f"{bucket.url}/cats")
    assert (described.name, described.source.kind, dataset_path(project)) == ("cats", "folder", f"{bucket.url}/cats")
    described = init(project, f"{bucket.url}/cats", "t.csv", "named")
    assert (described.name, described.source.kind) == ("named", "captioned_folder")
    described = init(project, f"{bucket.url}/cats/t.csv")
    assert (described.name, described.source.kind, dataset_path(project)) == ("t", "list", f"{bucket.url}/cats")
    described = init(project, f"{bucket.url}/cats/a.mp4")
    assert (described.name, described.source.kind, dataset_path(project)) == ("a", "folder", f"{bucket.url}/cats")
    described = init(project, f"{bucket.url}/cats/*.mp4")
    assert (described.name, described.source.kind, dataset_path(project)) == ("cats", "folder", f"{bucket.url}/cats")


@pytest.mark.parametrize(
    ("videos", "captions", "message"),
    [
        ("clips/*.avi", None, r"clips: nothing in it that clips could be"),
        ("clips/deep/a.mp4", "captions.csv", r"a single file has no table of captions"),
        ("clips/deep/gone.mp4", None, r"gone\.mp4: no such folder"),
        ("clips/*.mp4", "captions.csv", r"a glob has no table of captions"),
        ("caf\udce9", None, r"^caf\\xe9: not UTF-8, which params\.yaml is; it needs another name$"),
        ("gone.csv", None, r"gone\.csv: no such file"),
        ("videos/table.csv", None, r"no column 'path'"),
        ("nowhere/*.mp4", None, r"nowhere: no such folder"),
        ("https://host/videos", None, r"only s3:// has a listing"),
        ("https://host/table.csv?signed=1", None, r"only s3:// has a listing"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_described_changes_nothing(
    project: Path, videos: str, captions: str | None, message: str
) -> None:
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(ConfigurationError, match=message):
        init(project, videos, captions)
    assert (project / "params.yaml").read_bytes() == before
    assert not (project / "datasets").exists()


def test_prepare_names_the_column_that_is_missing(project: Path) -> None:
    descriptor = init_dataset(project, "videos", "table.csv", "video", "text", "cats")
    (project / "videos/table.csv").write_text("video,txt\na.mp4,a cat\n")
    with pytest.raises(ConfigurationError, match=r"no column 'text'; did you mean 'txt'\?"):
        prepare(DatasetConfig(descriptor=descriptor, path="videos"), COMPUTE, Paths(project))
