"""``walt takedown`` where copies are on S3: the mirror of the clips, DVC's remote, and older versions."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.s3 import Bucket
from tests.support.takedown_project import copy_to_store, make_takedown_project
from walt.cli import app
from walt.commands.lineage.of_source import find
from walt.commands.takedown.copies import DvcStores
from walt.commands.takedown.fingerprints import pictures_of
from walt.commands.takedown.search import Needles, search
from walt.core import remote
from walt.core.digests import sha256_file
from walt.core.paths import Paths
from walt.project.registry import get_stage
from walt.project.runner import run_stage

STRANGE = "files/md5/ab/" + "c" * 30


def _down_to(bucket: Bucket, folder: Path) -> Path:
    """All that can be read in the bucket."""
    for file in remote.list_files(f"{bucket.url}/"):
        remote.download(file.url, folder / file.url.removeprefix(f"{bucket.url}/"))
    return folder


@pytest.fixture
def project(tmp_path: Path, bucket: Bucket, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Three sources, with a mirror and a remote in a bucket that keeps versions; another machine pushed one object."""
    root = tmp_path / "project"
    root.mkdir()
    shutil.copy(empty_database, root / "mlflow.db")
    monkeypatch.chdir(root)
    paths = make_takedown_project(root, 3)
    params = json.loads((root / "params.yaml").read_text())
    params["ingest"]["output"] = f"{bucket.url}/clips"
    (root / "params.yaml").write_text(json.dumps(params))
    bucket.call("put_bucket_versioning", Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    run_stage(get_stage("ingest"), root)
    copy_to_store(root, root / ".dvc/cache")
    (root / ".dvc/config").write_text(
        f"['remote \"store\"']\n    url = {bucket.url}/dvc\n    endpointurl = {bucket.proxy.url}\n"
        f"['remote \"elsewhere\"']\n    url = {bucket.url}/dvc\n    endpointurl = https://s3.example.org\n"
    )
    for file in sorted((root / ".dvc/cache/files").rglob("*")):
        if file.is_file():
            remote.upload(file, f"{bucket.url}/dvc/{file.relative_to(root / '.dvc/cache')}")
    remote.upload(root / "params.yaml", f"{bucket.url}/dvc/{STRANGE}")
    return paths


@pytest.mark.slow
def test_nothing_of_a_source_is_left_where_it_can_be_removed_and_the_rest_is_named(
    project: Paths, bucket: Bucket, tmp_path: Path
) -> None:
    root = project.root
    source = sha256_file(root / "videos/0.mp4")
    held = find(project, [source])
    pictures = pictures_of(project, held.clips)
    needles = Needles(
        keys=frozenset(held.keys), sources=frozenset(held.sources),
        pictures=frozenset(digest for one in pictures.values() for digest in one.digests),
    )  # fmt: skip
    before = {path.relative_to(tmp_path / "before").parts[0] for path in
              search(_down_to(bucket, tmp_path / "before"), needles).found}  # fmt: skip
    assert before == {"clips", "dvc"}

    result = CliRunner().invoke(
        app, ["takedown", "0.mp4", "--reason", "asked", "--delete-source"], env={"COLUMNS": "400"}
    )
    assert result.exit_code == 0, result.output
    assert not search(_down_to(bucket, tmp_path / "after"), needles).found
    assert "removed from DVC's remote 'store': s3://" in result.output
    assert "remove by hand from DVC's remote 'elsewhere' at https://s3.example.org: s3://" in result.output

    report = json.loads((root / f"work/takedown/{source[:16]}-report.json").read_text())
    said = "\n".join(report["not_searched"])
    assert "DVC's remote 'store' has 1 objects that DVC's cache lacks" in said
    script = root / f"work/takedown/{source[:16]}-older-versions.sh"
    assert f"{bucket.url}/clips keeps " in said
    assert f"{bucket.url}/dvc keeps " in said
    assert said.count(f"sh {script.relative_to(root)}") == 2
    assert said in result.output.replace("not searched: ", "")

    removals = [line.split() for line in script.read_text().splitlines() if line.startswith("aws s3api delete-object")]
    for words in removals:
        given = dict(zip(words[3::2], words[4::2], strict=True))
        bucket.call("delete_object", Bucket=given["--bucket"], Key=given["--key"], VersionId=given["--version-id"])
    kept = bucket.call("list_object_versions", Bucket=bucket.name)["Versions"]
    assert removals
    assert all(version["IsLatest"] for version in kept)
    contents = {hashlib.sha256(remote.read_bytes(f"{bucket.url}/{one['Key']}")).hexdigest() for one in kept}
    assert not contents & needles.contents


def test_a_remote_is_read_from_both_files_of_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("['remote \"store\"']\n    url = s3://bucket/dvc\n")
    (tmp_path / ".dvc/config.local").write_text("['remote \"store\"']\n    endpointurl = http://127.0.0.1:9\n")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    [found] = DvcStores.of(tmp_path).remotes
    assert (found.name, found.url, found.endpoint, found.is_on_s3) == (
        "store", "s3://bucket/dvc", "http://127.0.0.1:9", False,
    )  # fmt: skip
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert found.is_on_s3
