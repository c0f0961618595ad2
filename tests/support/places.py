"""Where a project of the ingest suite has its files: here, in a bucket, or in a bucket whose server misbehaves.

A test changes files under ``root / "videos"``, whatever the place. Where that is a bucket, ``ingest_at`` does as
whoever keeps one would: it puts what is new or changed under a prefix and removes what is gone. The stage reads that
prefix (``dataset.path``) and publishes to another (``ingest.output``), which must then hold what ``data/`` holds.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.support.s3 import Bucket, Fault, FaultProxy, point_to
from walt.core import remote, servers
from walt.core.digests import sha256_file
from walt.core.paths import Paths
from walt.core.storage import read_json
from walt.ingest.mirror import LIST_NAME
from walt.stages import ingest

_S3 = pytest.param("s3", marks=pytest.mark.slow)
_S3_FAULTS = pytest.param("s3-faults", marks=pytest.mark.slow)
everywhere = pytest.mark.parametrize("place", ["local", _S3_FAULTS], indirect=True)
"""In a bucket with faults on the way: for tests in which every first run that succeeds reads and publishes something.
All that is compared in a bucket without faults is compared here, too."""
only_here = pytest.mark.parametrize("place", ["local"], indirect=True)
"""For tests of what this machine's disk does, and of what comes after the files were read and before any is
published."""

_FAULTS = (
    Fault("GET .*list-type", 2, status=503),
    Fault("HEAD .*/videos/", 2, status=503),
    Fault("GET .*/videos/", 1, cut=200),
    Fault("GET .*/videos/", 2, status=503),
    Fault("PUT .*/data/[^.]", 1, cut=400),
    Fault("PUT .*/data/[^.]", 2, status=503),
    Fault("DELETE .*/data/", 1, status=503),
)
"""At each run of the stage. A first one, which reads a table and sources and publishes their clips, meets them all."""
_NOTE = "place.json"
_misbehaving: dict[str, FaultProxy] = {}
"""By the URL of a project's place."""


@dataclass(frozen=True)
class Place:
    """Where the projects of a test are."""

    name: str
    bucket: str | None = None
    """Its URL; None: this machine."""
    proxy: FaultProxy | None = None

    def settle(self, root: Path) -> Path:
        """Put a project's files here; returns its root."""
        if self.bucket:
            url = f"{self.bucket}/{uuid.uuid4().hex[:8]} [ü]*?#1"  # a prefix is not a pattern
            (root / _NOTE).write_text(f'"{url}"')  # for the processes that a test starts
            if self.proxy and self.name == "s3-faults":
                _misbehaving[url] = self.proxy
        return root

    def misbehave_until(self, over: Callable[[], bool]) -> int:
        """Cause one fault per second, in turns, while another process works; returns how many occurred."""
        assert self.proxy
        met = 0
        for fault in cycle(_FAULTS):
            self.proxy.faults = [replace(fault, left=1)]
            deadline = time.monotonic() + 1.0
            while time.monotonic() < deadline and not over():
                time.sleep(0.02)
            met += 1 - self.proxy.faults_left
            if over():
                break
        self.proxy.faults = []
        return met


@pytest.fixture(scope="session")
def suite_bucket(s3_server: str) -> Iterator[Bucket]:
    """One for all tests; a project has a prefix of its own."""
    proxy = FaultProxy(s3_server)
    with pytest.MonkeyPatch.context() as patch:
        point_to(proxy, patch)
        bucket = Bucket(proxy)
    yield bucket
    proxy.close()


@pytest.fixture(params=["local", _S3])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Each in its turn."""
    if request.param == "local":
        yield Place("local")
        return
    bucket = request.getfixturevalue("suite_bucket")
    point_to(bucket.proxy, monkeypatch)
    yield Place(request.param, bucket.url, bucket.proxy)
    bucket.proxy.faults = []
    _misbehaving.clear()


def ingest_at(root: Path, config: ingest.Config) -> dict[str, Any]:
    """Run the stage where the project's files are; returns its figures. What it published is compared with
    ``data/``."""
    if not (root / _NOTE).is_file():
        return ingest.run(config, Paths(root))
    url = read_json(root / _NOTE)
    sources, output = f"{url}/videos", f"{url}/data"
    bring(root / "videos", sources)
    before = [_etags(sources), _etags(output)]
    dataset = config.dataset.model_copy(update={"path": sources})
    settings = config.ingest.model_copy(update={"output": output})
    there = config.model_copy(update={"dataset": dataset, "ingest": settings})
    proxy = _misbehaving.get(url)
    if proxy:
        figures = _misled(proxy, there, root, first=not before[1])
        _compare_with_a_local_run(config, root)
    else:
        figures = ingest.run(there, Paths(root))
    assert _etags(sources) == before[0], "sources are only read"
    _compare(Paths(root), output, before[1], figures["uploaded"])
    return figures


def _misled(proxy: FaultProxy, config: ingest.Config, root: Path, first: bool) -> dict[str, Any]:
    """Run the stage while the server misbehaves. A later run may have nothing to read or to publish, but it lists."""
    proxy.faults = [replace(fault) for fault in _FAULTS]
    try:
        figures = ingest.run(config, Paths(root))
        left = [fault for fault in proxy.faults if fault.left and (first or "list" in fault.pattern)]
        assert left == [], "these faults never came up"
    finally:
        proxy.faults = []
    return figures


_of_local_runs: dict[tuple[str, str], dict[str, str]] = {}
"""By settings and input: tests often begin with the same."""


def _compare_with_a_local_run(config: ingest.Config, root: Path) -> None:
    """The bytes are those of a first run that knows no server."""
    same = config.model_dump_json(), str([digests(root / "datasets"), digests(root / "videos")])
    if same not in _of_local_runs:
        with TemporaryDirectory() as folder:
            for name in ("datasets", "videos"):
                shutil.copytree(root / name, Path(folder) / name)
            ingest.run(config, Paths(Path(folder)))
            _of_local_runs[same] = digests(Path(folder) / "data")
    assert digests(root / "data") == _of_local_runs[same], "a local run gives other bytes"


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file, by relative name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256_file(path) for path in files}


def bring(folder: Path, url: str) -> None:
    """Have a prefix hold what a folder holds."""
    there = _etags(url)
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    s3 = servers.filesystem("s3")
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    names = {name for name in files if _is_text(name)}
    for name in sorted(names):
        data = files[name].read_bytes()
        if hashlib.md5(data, usedforsecurity=False).hexdigest() != there.get(name):
            s3.call_s3("put_object", Bucket=bucket, Key=f"{prefix}/{name}", Body=data)
    for name in there.keys() - names:
        s3.call_s3("delete_object", Bucket=bucket, Key=f"{prefix}/{name}")


def _is_text(name: str) -> bool:
    """The names of objects are UTF-8."""
    return not re.search("[\ud800-\udfff]", name)


def _etags(url: str) -> dict[str, str | None]:
    """The objects under a prefix, by name; an ETag is the MD5 of an object that was put in one piece."""
    return {file.url.removeprefix(f"{url}/"): file.etag for file in remote.list_files(f"{url}/")}


_sha256: dict[str | None, str] = {}
"""By ETag: what is published again and again need be read once."""


def _compare(paths: Paths, url: str, before: dict[str, str | None], uploaded: int) -> None:
    """The prefix holds what ``data/`` holds, and its list says so; what was there with these bytes was left alone."""
    etags = _etags(url)
    for name, etag in etags.items():
        if etag not in _sha256:
            _sha256[etag] = hashlib.sha256(remote.read_bytes(f"{url}/{name}")).hexdigest()
    there = {name: _sha256[etag] for name, etag in etags.items()}
    del there[LIST_NAME]
    assert there == digests(paths.clips.parent), "what is published is not what is here"
    listed = json.loads(remote.read_bytes(f"{url}/{LIST_NAME}"))
    assert {name: facts["sha256"] for name, facts in listed.items()} == there
    assert uploaded == sum(etag != before.get(name) for name, etag in etags.items() if name != LIST_NAME)
