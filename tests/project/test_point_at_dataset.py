"""A user's own files: what ``walt init --videos`` makes of words, and that it changes nothing where it fails."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from tests.support.project import copy_project, look_like_a_clone
from tests.support.s3 import Bucket
from tests.support.settings import compute_settings
from walt.cli import app
from walt.core import remote
from walt.core.config import load_section, read_yaml
from walt.core.errors import ConfigurationError, StorageError
from walt.core.paths import Paths
from walt.core.storage import write_bytes
from walt.ingest.config import DatasetConfig, Descriptor
from walt.ingest.describe_files import Given
from walt.ingest.layouts.tables import TableColumns
from walt.ingest.prepare import prepare
from walt.ingest.sources.adapters import list_items
from walt.ingest.sources.kinds import FileList, PlainFolder
from walt.project.point_at_dataset import own_dataset, point_at_dataset
from walt.project.recipes import check_new_params, recipe_data, recipe_text

REPOSITORY = Path(__file__).resolve().parents[2]
COMPUTE = compute_settings(workers=1)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(recipe_text("demo"))
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/table.csv").write_text("video,text\na.mp4,a cat\n")
    return tmp_path


def init_dataset(
    root: Path, videos: str, captions: str | None, path_column: str | None, caption_column: str | None, name: str | None
) -> str:
    """As ``walt init --videos`` does where ``params.yaml`` is kept."""
    columns = TableColumns(path_column, (caption_column,) if caption_column else ())
    return point_at_dataset(root, own_dataset(root, Given(videos, captions, columns, name=name)))


def test_init_describes_the_folder_and_points_at_it(project: Path) -> None:
    before = (project / "params.yaml").read_text()
    descriptor = init_dataset(project, "videos", "table.csv", "video", "text", "My cats!")
    assert descriptor == "datasets/own/My-cats.yaml"
    described = load_section(project / descriptor, Descriptor)
    assert described.name == "My-cats"
    assert described.source == FileList(
        kind="list", tables=("table.csv",), path_column="video", caption_columns=("text",), absent="refuse"
    )
    assert described.generator is None
    assert described.adherence is None

    params = read_yaml(project / "params.yaml")
    expected = recipe_data("demo")
    expected["dataset"] = {"descriptor": "datasets/own/My-cats.yaml", "path": "videos"}
    expected["sample"]["prompts"] = "held_out"
    expected["evaluate"]["protocol"] = "own"
    expected["promotion"] |= {
        "metric": "frechet_distance/random_network", "better": "lower", "guards": [], "floor": None,
    }  # fmt: skip
    assert params == expected
    after = (project / "params.yaml").read_text()
    comments = [line.split("#", 1)[1].strip() for line in before.splitlines() if "#" in line]
    assert len(comments) > 5
    assert all(comment in after for comment in comments)
    changed = set(after.splitlines()) - set(before.splitlines())
    assert len(changed) <= 8, f"only what must change, changes: {changed}"


def test_init_promotes_by_the_distance_that_is_measured(project: Path) -> None:
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("features: null", "features: i3d"))
    init_dataset(project, "videos", "table.csv", "video", "text", "cats")
    assert read_yaml(project / "params.yaml")["promotion"]["metric"] == "fvd"


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


# ------------------------------------------------------------------------------------------- other words for --videos


def init(project: Path, videos: str, captions: str | None = None, name: str | None = None) -> Descriptor:
    """Describe, and read the descriptor that ``params.yaml`` then points at."""
    descriptor = init_dataset(project, videos, captions, None, None, name)
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


@pytest.mark.slow
def test_a_folder_without_a_table_is_taken_without_captions(project: Path, folder: Path) -> None:
    described = init(project, "clips")
    assert (described.name, described.caption_required) == ("clips", False)
    assert described.source == PlainFolder(kind="folder", patterns=("**/*",))
    assert read_yaml(project / "params.yaml")["sample"]["prompts"] == "none"
    (folder / "captions.csv").write_text("path,caption\ndeep/a.mp4,a cat\n")
    described = init(project, "clips")
    assert isinstance(described.source, FileList), "captions.csv is used where it is there"
    assert read_yaml(project / "params.yaml")["sample"]["prompts"] == "held_out"


@pytest.mark.parametrize(
    ("glob", "path", "pattern"),
    [("clips/**/*.mp4", "clips", "**/*.mp4"), ("clips/deep/*", "clips/deep", "*"), ("**/a.mp4", ".", "**/a.mp4")],
)
@pytest.mark.usefixtures("folder")
def test_a_glob(project: Path, glob: str, path: str, pattern: str) -> None:
    assert init(project, glob).source == PlainFolder(kind="folder", patterns=(pattern,))
    assert dataset_path(project) == path
    dataset = DatasetConfig(descriptor=f"datasets/own/{Path(path).resolve().name}.yaml", path=path)
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
        (ODD, "vid-os-2020", ODD, FileList(
            kind="list", tables=("list [1].csv",), path_column="path", caption_columns=("caption",), unlisted="take",
            absent="refuse",
        )),
        (f"{ODD}/*.mp4", "vid-os-2020", ODD, PlainFolder(kind="folder", patterns=("*.mp4",))),
        (f"{ODD}/list [1].csv", "list-1", ODD, FileList(
            kind="list", tables=("list [1].csv",), path_column="path", caption_columns=("caption",), absent="refuse",
        )),
    ],
)  # fmt: skip
def test_what_is_called_like_a_glob_is_itself(
    project: Path, words: str, name: str, path: str, source: PlainFolder | FileList
) -> None:
    """Though ``list 1.csv``, which is not such a table, would match as well."""
    (project / ODD).mkdir()
    (project / ODD / "a.mp4").write_bytes(b"x")
    (project / ODD / "list [1].csv").write_text("path,caption\na.mp4,a cat\n")
    (project / ODD / "list 1.csv").write_text("nothing\n")
    described = init(project, words)
    assert (described.name, described.source, dataset_path(project)) == (name, source, path)
    assert "is there" in prepare(
        DatasetConfig(descriptor=f"datasets/own/{name}.yaml", path=path), COMPUTE, Paths(project)
    )


@pytest.mark.slow
def test_what_is_called_like_a_glob_in_a_bucket(project: Path, bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,caption\na.mp4,a cat\n")
    for name in ("cats [1]/a.mp4", "list [1].csv", "a.mp4"):
        remote.upload(tmp_path / "t.csv", f"{bucket.url}/odd/{name}")
    described = init(project, f"{bucket.url}/odd/cats [1]")
    assert (described.name, dataset_path(project)) == ("cats-1", f"{bucket.url}/odd/cats [1]")
    described = init(project, f"{bucket.url}/odd/list [1].csv")
    assert (described.source.kind, dataset_path(project)) == ("list", f"{bucket.url}/odd")


@pytest.mark.slow
def test_a_bucket(project: Path, bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,caption\na.mp4,a cat\n")
    remote.upload(tmp_path / "t.csv", f"{bucket.url}/cats/t.csv")
    remote.upload(tmp_path / "t.csv", f"{bucket.url}/cats/a.mp4")
    described = init(project, f"{bucket.url}/cats")
    assert (described.name, described.source.kind, dataset_path(project)) == ("cats", "list", f"{bucket.url}/cats")
    described = init(project, f"{bucket.url}/cats", "t.csv", "named")
    assert (described.name, described.source.kind) == ("named", "list")
    described = init(project, f"{bucket.url}/cats/t.csv")
    assert (described.name, described.source.kind, dataset_path(project)) == ("t", "list", f"{bucket.url}/cats")
    described = init(project, f"{bucket.url}/cats/a.mp4")
    assert (described.name, described.source.kind, dataset_path(project)) == ("a", "folder", f"{bucket.url}/cats")
    described = init(project, f"{bucket.url}/cats/*.mp4")
    assert (described.name, described.source.kind, dataset_path(project)) == ("cats", "folder", f"{bucket.url}/cats")


@pytest.mark.parametrize(
    ("videos", "captions", "message"),
    [
        ("clips/*.avi", None, r"clips/\*\.avi: contains no videos or images"),
        ("clips/deep/a.mp4", "captions.csv", r"a single file has no table of captions"),
        ("clips/deep/gone.mp4", None, r"gone\.mp4: no such folder"),
        ("clips/*.mp4", "captions.csv", r"a glob has no table of captions"),
        ("caf\udce9", None, r"^caf\\xe9: not UTF-8, which params\.yaml is; it needs another name$"),
        ("gone.csv", None, r"gone\.csv: no such file"),
        ("clips/b.txt", None, r"clips/b\.txt: no such folder"),
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


# ------------------------------------------------------------------------------------------- the table of captions


@pytest.fixture
def captioned(project: Path) -> Path:
    """One video in a folder; tables are written by the tests."""
    (project / "clips").mkdir()
    (project / "clips/a.mp4").write_bytes(b"x")
    look_like_a_clone(project)
    return project


def write_captions(path: Path, text: str = "a cat") -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"path,caption\na.mp4,{text}\n")


def captions_of(project: Path, descriptor: Descriptor) -> list[str | None]:
    return [item.caption for item in list_items(descriptor, project, dataset_path(project), 99).items]


@pytest.mark.parametrize(
    ("where", "given", "stored"),
    [
        ("clips/t.csv", "t.csv", "t.csv"),
        ("clips/t.csv", "clips/t.csv", "t.csv"),
        ("t.csv", "t.csv", "../t.csv"),
        ("tables/t.csv", "tables/t.csv", "../tables/t.csv"),
        ("clips/deep/t.csv", "{root}/clips/deep/t.csv", "deep/t.csv"),
        ("tables/t.csv", "{root}/tables/t.csv", "{root}/tables/t.csv"),
    ],
)
@pytest.mark.parametrize("linked", [False, True], ids=["folder", "link to a folder"])
def test_captions_are_found_from_the_folder_and_from_here(
    captioned: Path, where: str, given: str, stored: str, linked: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if linked:
        real = tmp_path_factory.mktemp("elsewhere") / "real"
        shutil.move(captioned / "clips", real)
        (captioned / "clips").symlink_to(real)
    write_captions(captioned / where)
    described = init(captioned, "clips", given.format(root=captioned), "c")
    assert isinstance(described.source, FileList)
    if not linked or not stored.startswith(".."):
        assert described.source.tables == (stored.format(root=captioned),)
    assert captions_of(captioned, described) == ["a cat"], "ingest lists the folder by this table"


def test_the_folders_table_wins_and_the_message_says_which(captioned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_captions(captioned / "t.csv", "not this one")
    write_captions(captioned / "clips/t.csv")
    described = init(captioned, "clips", "t.csv")
    assert captions_of(captioned, described) == ["a cat"]
    said = "".join(capsys.readouterr().out.split())
    assert f"{captioned}/clips/t.csvisused,not{captioned}/t.csv" in said


def test_of_a_table_outside_it_is_said_what_dvc_sees(captioned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_captions(captioned / "t.csv")
    init(captioned, "clips", "t.csv", "c")
    assert "where DVC does not look: `walt prepare` reports changes to it" in " ".join(capsys.readouterr().out.split())
    write_captions(captioned / "clips/t.csv")
    init(captioned, "clips", "t.csv", "c")
    assert "DVC" not in capsys.readouterr().out


# ------------------------------------------------------------------------------------------- nothing by halves


def everything(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def walt(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["init", *arguments])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "tiny", "--force", "--videos", "clips", "--captions", "gone.csv"], "no such file"),
        (["--recipe", "tiny", "--force", "--videos", "nowhere"], "no such folder"),
        (
            ["--recipe", "tiny", "--force", "--videos", "videos", "--captions", "table.csv", "--path-column", "vid"],
            "no column 'vid'",
        ),
        (["--captions", "table.csv"], "describe --videos"),
        (["--update", "--no-captions"], "describe --videos"),
        (["--videos", "clips", "--no-captions", "--captions", "t.csv"], "--no-captions takes no captions"),
        (["--recipe", "tiny", "--force", "--videos", "clips/*.avi"], "contains no videos or images"),
        (["--recipe", "tinny", "--force", "--videos", "clips"], "did you mean 'tiny'"),
        (["--recipe", "tiny", "--videos", "clips"], "--force replaces it"),
    ],
)
def test_whatever_is_wrong_leaves_params_as_they_were(
    captioned: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(captioned)
    before = everything(captioned)
    failed = walt(*arguments)
    assert isinstance(failed.exception, ConfigurationError)
    assert message in str(failed.exception)
    assert everything(captioned) == before
    (captioned / "params.yaml").unlink()
    if "--force replaces" not in message:
        assert isinstance(walt(*arguments).exception, ConfigurationError)
        assert not (captioned / "params.yaml").exists()


@pytest.mark.slow
@pytest.mark.parametrize("known", [False, True], ids=["a new name", "a name that was described before"])
@pytest.mark.parametrize("fails", ["cats.yaml", "params.yaml"])
def test_a_full_disk_leaves_both_files_as_they_were(
    captioned: Path, monkeypatch: pytest.MonkeyPatch, fails: str, known: bool
) -> None:
    monkeypatch.chdir(captioned)
    if known:
        assert walt("--videos", "videos/table.csv", "--path-column", "video", "--caption-column", "text",
                    "--name", "cats").exception is None  # fmt: skip
    before = everything(captioned)

    def full(path: Path, data: bytes) -> None:
        if path.name == fails and not failed:
            failed.append(path)
            raise StorageError(f"{path}: No space left on device")
        write_bytes(path, data)

    failed: list[Path] = []
    monkeypatch.setattr("walt.project.point_at_dataset.replace_file", full)
    assert isinstance(
        walt("--recipe", "tiny", "--force", "--videos", "clips", "--name", "cats").exception, StorageError
    )
    assert everything(captioned) == before
    done = walt("--recipe", "tiny", "--force", "--videos", "clips", "--name", "cats")
    assert done.exception is None
    assert read_yaml(captioned / "params.yaml")["dataset"] == {"descriptor": "datasets/own/cats.yaml", "path": "clips"}


def test_params_that_cannot_be_read_leave_no_descriptor(captioned: Path) -> None:
    (captioned / "params.yaml").write_text("dataset: [")
    with pytest.raises(ConfigurationError, match=r"params\.yaml"):
        init(captioned, "clips")
    assert not (captioned / "datasets").exists()


@pytest.mark.slow
def test_a_clone_shows_what_its_user_would_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = copy_project(tmp_path / "clone")
    shutil.copy(REPOSITORY / ".gitignore", clone)
    (clone / "params.yaml").write_bytes(check_new_params("demo", clone / "params.yaml", force=True))
    git(clone, "init", "--quiet")
    git(clone, "add", ".")
    git(clone, "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "-m", "A clone")
    write_captions(tmp_path / "cats/captions.csv")
    (tmp_path / "cats/a.mp4").write_bytes(b"x")
    monkeypatch.chdir(clone)
    assert walt("--videos", "../cats").exception is None
    assert git(clone, "status", "--porcelain", "--untracked-files=all").splitlines() == [
        " M params.yaml", "?? datasets/own/cats.yaml",
    ]  # fmt: skip


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_a_list_of_files_in_another_folder_names_the_options_that_read_it(tmp_path: Path) -> None:
    for name in ("videos", "lists"):
        (tmp_path / name).mkdir()
    (tmp_path / "videos/a.mp4").write_text("never opened")
    (tmp_path / "lists/t.csv").write_text(f"path,caption\n{tmp_path}/videos/a.mp4,a cat\n")
    said = (
        r"its absolute path is not in the dataset's folder \(outside\); if they are in another folder: --videos FOLDER"
    )
    with pytest.raises(ConfigurationError, match=rf"{said} --captions lists/t\.csv$"):
        own_dataset(tmp_path, Given("lists/t.csv"))
    found = own_dataset(tmp_path, Given("videos", captions="lists/t.csv")).listing
    assert [(item.source, item.caption) for item in found.items] == [("a.mp4", "a cat")]
    assert not found.refusals
