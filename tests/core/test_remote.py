"""Files on servers: whole or not at all, tried again where it may help, and errors of one line without secrets."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.s3 import SECRET, Bucket, FaultProxy
from walt.core import remote, remote_errors, servers
from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError

DATA = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "there/data.bin"
    path.parent.mkdir()
    path.write_bytes(DATA)
    return path


@pytest.mark.parametrize("protocol", ["s3", "file"])
def test_a_file_there_and_back(protocol: str, bucket: Bucket, file: Path, tmp_path: Path) -> None:
    base = bucket.url if protocol == "s3" else f"file://{tmp_path}/store"
    url = f"{base}/some/folder/ü?versionId=1#data.bin"
    digest = hashlib.sha256(DATA).hexdigest()
    assert remote.stat(url) is None
    assert remote.upload(file, url) == digest
    found = remote.stat(url)
    assert found is not None
    assert (found.size, found.sha256) == (len(DATA), digest)
    back = tmp_path / "back/data.bin"
    remote.download(url, back, size=len(DATA), sha256=digest)
    assert back.read_bytes() == remote.read_bytes(url) == DATA
    assert list(back.parent.iterdir()) == [back]
    with remote.open_file(url) as stream:
        assert stream.seek(-300, os.SEEK_END) == len(DATA) - 300
        assert stream.read() == DATA[-300:]
        stream.seek(1000)
        assert stream.read(20) == DATA[1000:1020]
    remote.remove(url)
    remote.remove(url)
    assert remote.stat(url) is None


def test_listing_goes_by_pages_and_by_patterns(
    bucket: Bucket,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ["a/1.mp4", "a/2.mp4", "a/b/3.mp4", "a/b/4.txt", "c.mp4"]
    file.write_bytes(b"x")
    for name in reversed(names):
        remote.upload(file, f"{bucket.url}/top/{name}")
    monkeypatch.setattr(servers, "_PAGE", 2)

    def listed(location: str) -> list[str]:
        return [found.url.removeprefix(f"{bucket.url}/top/") for found in remote.list_files(location)]

    assert listed(f"{bucket.url}/top/") == names
    assert sum(method == "GET" for method, _ in bucket.proxy.requests) >= 3, "a page at a time"
    assert listed(f"{bucket.url}/top/a/*.mp4") == ["a/1.mp4", "a/2.mp4"]
    assert listed(f"{bucket.url}/top/**/*.mp4") == ["a/1.mp4", "a/2.mp4", "a/b/3.mp4", "c.mp4"]
    assert listed(f"{bucket.url}/nothing/") == []
    remote.upload(file, f"{bucket.url}/top/[x]*/1.mp4")
    assert listed(f"{bucket.url}/top/[x]*/") == ["[x]*/1.mp4"], "a prefix is not a pattern"


@pytest.mark.slow
def test_a_large_upload_is_sent_in_pieces_and_appears_when_complete(
    bucket: Bucket,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote, "_PART", 5 << 20)  # S3 takes no smaller ones
    file.write_bytes(DATA * 11)
    digest = remote.upload(file, f"{bucket.url}/large")
    assert sum("partNumber" in path for _, path in bucket.proxy.requests) == 3
    remote.download(f"{bucket.url}/large", tmp_path / "large", size=len(DATA) * 11, sha256=digest)
    assert remote.stat(f"{bucket.url}/large").sha256 == digest  # type: ignore[union-attr]


@pytest.mark.parametrize("what", ["GET", "PUT", "HEAD"])
def test_a_burst_of_503_is_retried(what: str, bucket: Bucket, file: Path, tmp_path: Path) -> None:
    url = f"{bucket.url}/data"
    bucket.proxy.plan(f"{what} .*/data", count=3, status=503)
    digest = remote.upload(file, url)
    assert remote.stat(url) is not None
    remote.download(url, tmp_path / "back", sha256=digest)
    assert bucket.proxy.faults_left == 0


@pytest.mark.slow
def test_attempts_are_counted_with_the_first(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "S3_ATTEMPTS", 2)
    monkeypatch.setattr(remote_errors, "_ATTEMPTS", 3)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")  # else the client that is open would be used
    bucket.proxy.plan("HEAD", count=1000, status=503)
    with pytest.raises(StorageError, match="data: "):
        remote.stat(f"{bucket.url}/data")
    assert bucket.proxy.faults_left == 1000 - 2 * 3


@pytest.mark.slow
@pytest.mark.parametrize("cut", [0, 1000, 900_000])
def test_a_reset_in_the_middle_of_a_body_is_retried(
    cut: int,
    bucket: Bucket,
    file: Path,
    tmp_path: Path,
) -> None:
    url = f"{bucket.url}/data"
    digest = remote.upload(file, url)
    bucket.proxy.plan("GET .*/data", count=2, cut=cut)
    remote.download(url, tmp_path / "back", sha256=digest)
    assert bucket.proxy.faults_left == 0
    bucket.proxy.plan("GET .*/data", count=2, cut=cut)
    assert remote.read_bytes(url) == DATA
    bucket.proxy.plan("GET .*/data", count=2, cut=cut)
    with remote.open_file(url) as stream:
        assert stream.read() == DATA


@pytest.fixture
def web(file: Path) -> Iterator[FaultProxy]:
    """A web server that knows no ranges, with ``data.bin``."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(file.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        proxy = FaultProxy(f"http://127.0.0.1:{server.server_address[1]}")
        yield proxy
        proxy.close()
        server.shutdown()


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429}, {"cut": 5000}])
def test_plain_http_is_retried_too(
    fault: dict[str, int], web: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_errors, "_FIRST_PAUSE_SECONDS", 0.02)
    url = f"{web.url}/data.bin?Signature=hush"
    assert remote.stat(f"{web.url}/nothing") is None
    web.plan("GET .*/data", count=2, **fault)
    remote.download(url, tmp_path / "back", size=len(DATA), sha256=hashlib.sha256(DATA).hexdigest())
    assert web.faults_left == 0
    web.plan("GET .*/data", count=2, **fault)
    with remote.open_file(url) as stream:
        stream.seek(7000)
        assert stream.read(50) == DATA[7000:7050]
    assert web.faults_left == 0
    web.plan("GET .*/data", count=9, status=403)
    with pytest.raises(StorageError, match=r"data\.bin: no permission") as caught:
        remote.read_bytes(url)
    assert "hush" not in str(caught.value)
    assert web.faults_left == 8, "what cannot pass is not tried again"


@pytest.mark.slow
def test_a_failure_that_persists_is_a_storage_error(bucket: Bucket, file: Path, tmp_path: Path) -> None:
    url = f"{bucket.url}/data"
    remote.upload(file, url)
    bucket.proxy.plan("GET", count=1000, status=503)
    with pytest.raises(StorageError, match=f"^{url}: ") as caught:
        remote.download(url, tmp_path / "back")
    assert caught.value.exit_status == 4
    bucket.proxy.plan("GET", count=1000, cut=100)
    with pytest.raises(StorageError, match=f"^{url}: "):
        remote.download(url, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    assert not list(tmp_path.glob("back*")), "no temporary is left"


def test_what_is_missing_or_forbidden_is_named_without_secrets(
    bucket: Bucket,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(StorageError, match=r"^s3://walt-no-such-bucket/x: no such bucket$"):
        remote.check_writable("s3://walt-no-such-bucket/x")
    with pytest.raises(StorageError, match=r"nothing\.bin: no such file$"):
        remote.read_bytes(f"{bucket.url}/nothing.bin")
    bucket.proxy.plan(".*", count=1, status=403)
    with pytest.raises(StorageError, match=f"^{bucket.url}/x: no permission") as caught:
        remote.check_writable(f"{bucket.url}/x")
    assert SECRET not in str(caught.value)
    with pytest.raises(ConfigurationError, match="https has no listing"):
        list(remote.list_files("https://127.0.0.1/videos/"))
    with pytest.raises(ConfigurationError, match=r"^https://host/x: https cannot be written$"):
        remote.check_writable("https://user:password@host/x?key=value")
    with pytest.raises(ConfigurationError, match="ftp://x/y: not a URL of s3"):
        remote.read_bytes("ftp://x/y")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(StorageError, match="no credentials; set AWS_ACCESS_KEY_ID"):
        remote.check_writable(f"{bucket.url}/x")


def test_a_server_that_is_away_is_named(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match=r"127\.0\.0\.1:9"):
        remote.check_writable(f"{bucket.url}/x")
    with pytest.raises(StorageError, match=r"127\.0\.0\.1:9"):
        remote.stat("http://127.0.0.1:9/x")


def test_other_bytes_than_expected_are_refused(bucket: Bucket, file: Path, tmp_path: Path) -> None:
    url = f"{bucket.url}/data"
    remote.upload(file, url)
    with pytest.raises(CorruptArtifactError, match=f"^{url}: {len(DATA)} bytes instead of 7$"):
        remote.download(url, tmp_path / "back", size=7)
    with pytest.raises(CorruptArtifactError, match="its sha256 is not 00"):
        remote.download(url, tmp_path / "back", sha256="00" * 32)
    assert not list(tmp_path.glob("back*"))


def test_what_is_a_url(tmp_path: Path) -> None:
    assert remote.is_remote("s3://bucket/x")
    assert remote.is_remote("https://host/x")
    assert not remote.is_remote(str(tmp_path))
    assert not remote.is_remote("videos/s3://x")
    assert not remote.is_remote("C://x")
