"""``ingest.output``: publishing to a bucket and fetching from it, and what is found in the way there.

That a bucket holds what ``data/`` holds after each run, whatever changed and through bursts of 503 and resets, is shown
by the ingest suite itself, which runs there as well (``tests/support/places.py``).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ingest_project import config, make_project, outputs
from tests.support.s3 import SECRET, Bucket
from walt.commands import fetch as fetch_command
from walt.core import remote, servers
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError, LockedError, StorageError
from walt.core.paths import Paths
from walt.core.storage import lock
from walt.ingest.mirror import LIST_NAME, fetch, mirror
from walt.project.recipes import recipe_text
from walt.stages import ingest


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made and ingested once: nothing is left to do but to publish."""
    root = tmp_path_factory.mktemp("project")
    make_project(root)
    ingest.run(config(clips_per_shard=4), Paths(root))
    return root


@pytest.fixture
def root(project: Path, tmp_path: Path) -> Path:
    shutil.copytree(project, tmp_path / "root")
    return tmp_path / "root"


def publish(root: Path, bucket: Bucket, prefix: str = "clips") -> int:
    """Run the stage; gives the number of files that were uploaded."""
    figures = ingest.run(config(clips_per_shard=4, output=f"{bucket.url}/{prefix}"), Paths(root))
    assert isinstance(figures["uploaded"], int)
    return figures["uploaded"]


def local(root: Path) -> dict[str, str]:
    return {name.removeprefix("data/"): digest for name, digest in outputs(root).items()}


def published(bucket: Bucket, prefix: str = "clips") -> dict[str, str | None]:
    """The files there, except the list, after comparing them with the list."""
    objects = bucket.objects(prefix)
    del objects[LIST_NAME]
    listed = json.loads(remote.read_bytes(f"{bucket.url}/{prefix}/{LIST_NAME}"))
    assert {name: facts["sha256"] for name, facts in listed.items()} == objects
    return objects


@pytest.mark.slow
def test_a_first_run_publishes_everything_and_a_rerun_nothing(root: Path, bucket: Bucket) -> None:
    files = local(root)
    assert publish(root, bucket) == len(files)
    assert published(bucket) == files
    names = bucket.proxy.stored(f"/{bucket.name}/clips/")
    kinds = ["tar" if name.endswith(".tar") else "index" if "shards" in name else "table" for name in names[:-1]]
    assert kinds == sorted(kinds, key=["tar", "index", "table"].index)
    assert names[-1] == LIST_NAME, "the list comes last"
    assert publish(root, bucket) == 0
    assert bucket.proxy.stored("/") == []


@pytest.mark.slow
def test_what_was_published_comes_back_byte_for_byte(root: Path, bucket: Bucket, tmp_path: Path) -> None:
    publish(root, bucket)
    other = Paths(tmp_path / "other")
    (other.clips / "99x99").mkdir(parents=True)
    (other.clips / "99x99/clips-000000.tar").write_bytes(b"of another time")
    assert fetch(other, f"{bucket.url}/clips/") == len(local(root))
    assert outputs(other.root) == outputs(root)
    assert fetch(other, f"{bucket.url}/clips") == 0
    tar = next((other.clips / "32x32").glob("*.tar"))
    tar.write_bytes(tar.read_bytes()[:-1])
    assert fetch(other, f"{bucket.url}/clips") == 1
    assert outputs(other.root) == outputs(root)


@pytest.mark.slow
def test_an_object_that_was_damaged_or_lost_is_uploaded_again(root: Path, bucket: Bucket, tmp_path: Path) -> None:
    publish(root, bucket)
    before = published(bucket)
    tars = [name for name in before if name.endswith(".tar")]
    bucket.call("delete_object", Bucket=bucket.name, Key=f"clips/{tars[0]}")
    damaged = tmp_path / "damaged"
    size = remote.stat(f"{bucket.url}/clips/{tars[1]}").size  # type: ignore[union-attr]
    damaged.write_bytes(bytes(size or 0))
    remote.upload(damaged, f"{bucket.url}/clips/{tars[1]}")
    with pytest.raises((StorageError, CorruptArtifactError)):
        fetch(Paths(tmp_path / "other"), f"{bucket.url}/clips")
    assert publish(root, bucket) == 2
    assert published(bucket) == before


@pytest.mark.slow
def test_foreign_objects_under_the_prefix_are_left_alone(root: Path, bucket: Bucket) -> None:
    remote.upload(root / "videos/a.mp4", f"{bucket.url}/clips/clips/notes.txt")
    for ours in ("clips/32x32/clips-999999.tar", ".walt-probe-7"):  # of another run, and of one that was killed
        remote.upload(root / "videos/a.mp4", f"{bucket.url}/clips/{ours}")
        publish(root, bucket)
        assert ours not in bucket.objects("clips")
        assert "clips/notes.txt" in bucket.objects("clips")


@pytest.mark.parametrize("name", ["clips/32x32/clips-1.tar", "manifest.parquet", "rejects.parquet", LIST_NAME])
@pytest.mark.parametrize("where", ["s3", "file"])
def test_foreign_files_under_names_that_we_use_stop_the_stage(
    name: str, where: str, root: Path, bucket: Bucket, tmp_path: Path
) -> None:
    """Stale or about to be overwritten: it is said before any work, and nothing changes."""
    prefix = f"{bucket.url}/clips" if where == "s3" else f"file://{tmp_path}/elsewhere"
    servers.filesystem(where).pipe_file(f"{prefix.partition('://')[2]}/{name}", b"mine")
    (root / "videos/a.mp4").unlink()
    before = outputs(root)
    with pytest.raises(ConfigurationError, match=rf"{prefix} holds .* did not publish; .*: {name}$"):
        ingest.run(config(clips_per_shard=4, output=prefix), Paths(root))
    assert [found.url for found in remote.list_files(f"{prefix}/")] == [f"{prefix}/{name}"]
    assert remote.read_bytes(f"{prefix}/{name}") == b"mine"
    assert outputs(root) == before


@pytest.mark.slow
def test_a_file_that_appears_meanwhile_is_found_before_anything_changes(root: Path, bucket: Bucket) -> None:
    publish(root, bucket)
    before = published(bucket)
    bucket.call("put_object", Bucket=bucket.name, Key="clips/clips/9x9/clips-7.tar", Body=b"mine")
    (root / "data/rejects.parquet").write_bytes(b"changed")
    with pytest.raises(ConfigurationError, match=r"9x9/clips-7\.tar"):
        mirror(Paths(root), f"{bucket.url}/clips")
    bucket.call("delete_object", Bucket=bucket.name, Key="clips/clips/9x9/clips-7.tar")
    assert published(bucket) == before


@pytest.mark.slow
@pytest.mark.parametrize("where", ["s3", "file"])
def test_after_a_break_what_was_published_before_is_still_ours(
    where: str, root: Path, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is gone then; the note knows, and what has become stale in between goes."""
    prefix = f"{bucket.url}/clips" if where == "s3" else f"file://{tmp_path}/elsewhere"
    output = config(clips_per_shard=4, output=prefix)
    ingest.run(output, Paths(root))
    (root / "videos/a.mp4").unlink()
    whole, uploads = remote.upload, 0

    def upload(path: Path, url: str) -> str:
        nonlocal uploads
        uploads += 1
        if uploads == 2:
            raise StorageError("the line is lost")
        return whole(path, url)

    monkeypatch.setattr(remote, "upload", upload)
    with pytest.raises(StorageError, match="line"):
        ingest.run(output, Paths(root))
    assert remote.stat(f"{prefix}/{LIST_NAME}") is None
    (root / "videos/b.mp4").unlink()
    ingest.run(output, Paths(root))
    there = {found.url.removeprefix(f"{prefix}/") for found in remote.list_files(f"{prefix}/")}
    assert there == {*local(root), LIST_NAME}


@pytest.mark.slow
def test_a_copy_of_a_prefix_made_without_metadata_is_known_by_its_list(root: Path, bucket: Bucket) -> None:
    publish(root, bucket, "first")
    before = published(bucket, "first")
    for name in (*before, LIST_NAME):
        data = remote.read_bytes(f"{bucket.url}/first/{name}")
        bucket.call("put_object", Bucket=bucket.name, Key=f"copy/{name}", Body=data)
    assert publish(root, bucket, "copy") == len(before), "no digest is stated"
    assert published(bucket, "copy") == before


_CHILD = """
import sys
from pathlib import Path
from tests.support.ingest_project import config
from walt.core.paths import Paths
from walt.stages import ingest
ingest.run(config(clips_per_shard=4, output=sys.argv[2]), Paths(Path(sys.argv[1])))
"""


@pytest.mark.slow
@pytest.mark.parametrize("pattern", [r"PUT .*/32x32/.*\.tar", r"PUT .*shards\.parquet", "PUT .*published"])
def test_kill_9_in_the_middle_of_an_upload(pattern: str, root: Path, bucket: Bucket, tmp_path: Path) -> None:
    bucket.proxy.plan(pattern, count=100)  # the server takes what comes before, then says nothing more
    arguments = [sys.executable, "-c", _CHILD, root, f"{bucket.url}/clips"]
    child = subprocess.Popen(arguments, cwd=Path(__file__).parents[2])
    assert bucket.proxy.stalled.wait(60), "the stage never came so far"
    child.kill()
    child.wait()
    bucket.proxy.plan("", count=0)
    bucket.proxy.released.set()
    with pytest.raises(StorageError, match="not finished"):
        fetch(Paths(tmp_path / "other"), f"{bucket.url}/clips")
    assert publish(root, bucket) <= len(local(root))
    assert published(bucket) == local(root)


@pytest.mark.slow
def test_resets_in_the_middle_of_bodies_are_retried_when_fetching(root: Path, bucket: Bucket, tmp_path: Path) -> None:
    publish(root, bucket)
    bucket.proxy.plan(r"GET .*\.tar", count=4, cut=1500)
    fetch(Paths(tmp_path / "other"), f"{bucket.url}/clips")
    assert outputs(tmp_path / "other") == outputs(root)
    assert bucket.proxy.faults_left == 0


@pytest.mark.slow
def test_a_server_that_keeps_failing_ends_the_stage_and_a_rerun_continues(root: Path, bucket: Bucket) -> None:
    bucket.proxy.plan(r"PUT .*shards\.parquet", count=10_000, status=503)
    with pytest.raises(StorageError, match=r"s3://.*shards\.parquet: ") as caught:
        publish(root, bucket)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
    bucket.proxy.plan("", count=0)
    tars = sum(name.endswith(".tar") for name in local(root))
    assert publish(root, bucket) == len(local(root)) - tars, "the tars were there already"
    assert published(bucket) == local(root)


@pytest.mark.parametrize("wrong", ["bucket", "credentials", "permission", "protocol"])
def test_a_wrong_output_is_found_before_any_work(
    wrong: str, tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(tmp_path)
    output = named = f"{bucket.url}/clips"
    match wrong:
        case "bucket":
            output = named = "s3://walt-no-such-bucket/clips"
            message = "no such bucket"
        case "credentials":
            monkeypatch.delenv("AWS_ACCESS_KEY_ID")
            monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
            message = "no credentials"
        case "permission":
            bucket.proxy.plan("PUT", count=1, status=403)
            message = "no permission"
        case _:
            output, message = "https://127.0.0.1/clips", "https cannot be written"
            named = f"ingest.output: {output}"
    with pytest.raises((StorageError, ConfigurationError), match=f"^{named}: {message}") as caught:
        ingest.run(config(output=output), Paths(tmp_path))
    assert caught.value.exit_status == (2 if wrong == "protocol" else 4)
    assert not (tmp_path / "work").exists()
    assert not (tmp_path / "data").exists()


def test_the_command_names_what_is_missing_and_does_not_wait_for_ingest(tmp_path: Path, bucket: Bucket) -> None:
    (tmp_path / "params.yaml").write_text(recipe_text("tiny"))
    with pytest.raises(ConfigurationError, match=r"ingest\.output is null"):
        fetch_command.run(None, tmp_path)
    with pytest.raises(StorageError, match="nothing was published"):
        fetch_command.run(f"{bucket.url}/nothing", tmp_path)
    with lock(Paths(tmp_path).work("ingest") / "lock"), pytest.raises(LockedError):
        fetch_command.run(f"{bucket.url}/nothing", tmp_path)


@pytest.mark.parametrize("text", ["[]", '{"a.pkl": {"bytes": 1, "sha256": "x"}}', '{"manifest.parquet": {}}', "\xff"])
def test_a_list_that_is_not_ours_is_refused(text: str, bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / LIST_NAME).write_bytes(text.encode("latin-1"))
    remote.upload(tmp_path / LIST_NAME, f"{bucket.url}/x/{LIST_NAME}")
    with pytest.raises(CorruptArtifactError, match=LIST_NAME):
        fetch(Paths(tmp_path), f"{bucket.url}/x")


def test_the_output_may_be_a_local_folder(root: Path, tmp_path: Path) -> None:
    output = f"file://{tmp_path}/elsewhere"
    assert ingest.run(config(clips_per_shard=4, output=output), Paths(root))["uploaded"] == len(local(root))
    assert ingest.run(config(clips_per_shard=4, output=output), Paths(root))["uploaded"] == 0
    tar = min((tmp_path / "elsewhere/clips/32x32").glob("*.tar"))
    assert sha256_file(tar) in local(root).values()
    assert fetch(Paths(tmp_path / "other"), output) == len(local(root))
    assert outputs(tmp_path / "other") == outputs(root)
