"""Latents and text that stay on S3: the same batches as from a local copy, verified, and faults of one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from tests.support.s3 import Bucket
from tests.support.tiny_latents import batch_maker, same_batches, write_latents
from tests.support.tiny_models import BASE
from walt.core import remote
from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.core.verified_files import CACHE_VARIABLE
from walt.data import remote_tars
from walt.data.attached import attach
from walt.data.latents import LatentBatches

TAR = "latents/16x16/latents-000000.tar"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    write_latents(root / "data")
    return root


@pytest.fixture
def project(written: Path, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, a copy of whose data is in the bucket; nothing is known of that on this machine."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    root = tmp_path / "project"
    shutil.copytree(written, root)
    for path in sorted((root / "data").rglob("*.*")):
        remote.upload(path, f"{bucket.url}/copy/{path.relative_to(root / 'data')}")
    bucket.proxy.requests.clear()
    return root


def ranges(bucket: Bucket) -> int:
    """How many requests for tars came since the last call."""
    count = sum(method == "GET" and path.endswith(".tar") for method, path in bucket.proxy.requests)
    bucket.proxy.requests.clear()
    return count


@pytest.mark.slow
def test_batches_are_those_of_a_local_copy(project: Path, bucket: Bucket, tmp_path: Path) -> None:
    here = LatentBatches(project, BASE.resolution, 8, steps=6)
    there = LatentBatches(f"{bucket.url}/copy/", BASE.resolution, 8, steps=6)
    assert ranges(bucket) == 3, "each tar of this size and of the text is read whole, once"
    for one, other in zip(here, there, strict=True):
        assert one["keys"] == other["keys"]
        assert all(torch.equal(one[name], other[name]) for name in ("latents", "text", "text_mask"))
    assert not list((tmp_path / "cache").rglob("*.tar")), "tars are not kept"
    read = ranges(bucket)
    assert 0 < read <= 6 + 6 + 1, "each range once: latents, captions, the empty caption"
    LatentBatches(f"{bucket.url}/copy", BASE.resolution, 8)
    requests = [path for method, path in bucket.proxy.requests if method == "GET"]
    assert not [path for path in requests if path.endswith(".parquet")], "tables that did not change stay"
    assert sum(path.endswith(".tar") for path in requests) <= 1, "another opening reads the empty caption at most"


@pytest.mark.slow
def test_training_reads_attached_data(project: Path, bucket: Bucket, tmp_path: Path) -> None:
    """The batches of a training, from a project to which a copy on S3 is attached."""
    other = tmp_path / "other"
    assert attach(f"{bucket.url}/copy", other) == 5
    assert attach(f"{bucket.url}/copy", other) == 0
    assert not list(other.rglob("*.tar"))
    one, two = (batch_maker(root / "data", BASE, 0.3, write=False) for root in (project, other))
    for step in (0, 3):
        assert same_batches(one.videos(step, 5), two.videos(step, 5))
        assert same_batches(one.image_stacks(step, 2), two.image_stacks(step, 2))
    with pytest.raises(ConfigurationError, match="data/latents/16x16: the project has tars of its own"):
        attach(f"{bucket.url}/copy", project)


@pytest.mark.slow
def test_what_is_read_ahead_is_bounded(project: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_tars, "_MOST_BYTES", 2000)
    here, there = (LatentBatches(root, BASE.resolution, 8, prefetch=0) for root in (project, f"{bucket.url}/copy"))
    for step in range(3):
        assert torch.equal(here.batch(step)["latents"], there.batch(step)["latents"])
    held = there._shapes["16x16"].latents.reader._tars._ranges  # type: ignore[attr-defined]
    assert held._bytes == sum(stop - start for _, start, stop in held._asked) <= 2000


@pytest.mark.slow
@pytest.mark.parametrize(("status", "cut"), [(503, None), (500, None), (None, 100)])
def test_a_server_that_fails_for_a_while(project: Path, bucket: Bucket, status: int | None, cut: int | None) -> None:
    here = LatentBatches(project, BASE.resolution, 2, prefetch=0)
    there = LatentBatches(f"{bucket.url}/copy", BASE.resolution, 2, prefetch=0)
    bucket.proxy.plan(r"GET .*\.tar", 3, status, cut)
    assert torch.equal(here.batch(0)["latents"], there.batch(0)["latents"])
    assert not bucket.proxy.faults_left
    bucket.proxy.plan(r"GET .*\.tar", 1000, status, cut)
    with pytest.raises(StorageError, match=rf"^{bucket.url}/copy/{TAR}: ") as error:
        there.batch(1)
    assert "\n" not in str(error.value)
    bucket.proxy.reset()
    assert torch.equal(here.batch(1)["latents"], there.batch(1)["latents"]), "the same object goes on afterwards"


@pytest.mark.slow
def test_a_tar_that_is_not_what_the_index_says(project: Path, bucket: Bucket, tmp_path: Path) -> None:
    path = project / "data" / TAR
    right = path.read_bytes()
    url = f"{bucket.url}/copy"
    flipped = tmp_path / "flipped"
    flipped.write_bytes(right[:-2000] + bytes([right[-2000] ^ 1]) + right[-1999:])
    remote.upload(flipped, f"{url}/{TAR}")
    with pytest.raises(CorruptArtifactError, match=rf"^{url}/{TAR}: its sha256 differs from the index$"):
        LatentBatches(url, BASE.resolution, 4)
    flipped.write_bytes(right[:-512])
    remote.upload(flipped, f"{url}/{TAR}")
    with pytest.raises(CorruptArtifactError, match=rf"^{url}/{TAR}: {len(right) - 512} bytes, but the index says"):
        LatentBatches(url, BASE.resolution, 4)
    remote.remove(f"{url}/{TAR}")
    with pytest.raises(CorruptArtifactError, match=rf"^{url}/{TAR}: the index names it, but it is missing$"):
        LatentBatches(url, BASE.resolution, 4)
    remote.upload(path, f"{url}/{TAR}")
    LatentBatches(url, BASE.resolution, 4)


def test_a_tar_that_changes_or_goes_while_it_is_read(project: Path, bucket: Bucket, tmp_path: Path) -> None:
    url = f"{bucket.url}/copy"
    batches = LatentBatches(url, BASE.resolution, 2, prefetch=0)
    other = tmp_path / "other.tar"
    other.write_bytes(bytes((project / "data" / TAR).stat().st_size))
    remote.upload(other, f"{url}/{TAR}")
    with pytest.raises(CorruptArtifactError, match=rf"^{url}/{TAR}: another file is there since it was verified$"):
        batches.batch(0)
    remote.remove(f"{url}/{TAR}")
    with pytest.raises(CorruptArtifactError, match=rf"^{url}/{TAR}: removed while it was in use$"):
        batches.batch(0)


@pytest.mark.parametrize("url", ["https://example.org/data", "here"])
def test_only_s3_is_attached(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="not a prefix on S3"):
        attach(url, tmp_path)


def test_a_prefix_without_latents(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"latents/clips\.parquet: no such file"):
        attach(f"{bucket.url}/nothing", tmp_path)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / remote_tars.TARS_ELSEWHERE).write_text('{"tars": "file:///etc"}')
    with pytest.raises(CorruptArtifactError, match=r"tars\.json: tars is not a prefix on S3"):
        remote_tars.tars_of(folder, [])
