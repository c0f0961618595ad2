"""Files at URLs: ``s3://``, ``https://``, ``http://`` and ``file://``, through fsspec.

Endpoint and credentials come only from the environment (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``,
``AWS_ENDPOINT_URL`` ..., or what botocore finds by itself); no message shows them. Temporary failures (503, a reset in
the middle of a body, a slow server) are retried with growing pauses; if they persist, and for permanent failures (no
such bucket, no permission), the result is a StorageError of one line.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.core.remote_errors import MissingError, retried, shown
from walt.core.servers import PROTOCOLS, filesystem, list_s3, name_of, split
from walt.core.servers import RemoteFile as RemoteFile
from walt.core.storage import TEMPORARY_SUFFIX, storage_errors

PROBE = ".walt-probe-"
"""Prefix of the names that ``check_writable`` writes; a killed process may leave one behind."""
_BLOCK = 4 << 20
"""Bytes that ``open_file`` fetches at a time."""
_PART = 32 << 20
"""Bytes per piece of a large upload; twice that is in memory."""


def is_remote(location: str) -> bool:
    """Whether a location is a URL with one of ``PROTOCOLS``, not a path."""
    return location.split("://", 1)[0] in PROTOCOLS and "://" in location


def s3_credentials() -> str | None:
    """How credentials for ``s3://`` are found (``env``, ``shared-credentials-file`` ...); None: there are none."""
    from botocore.session import Session

    found = Session().get_credentials()
    return None if found is None else str(found.method)


def list_files(location: str) -> Iterator[RemoteFile]:
    """Files under a prefix, which ends with ``/``, or that match a pattern (``s3://bucket/videos/**/*.mp4``), by name.

    One page is requested at a time. Wildcards in a prefix are taken literally.

    Raises:
        ConfigurationError: the protocol has no listing (``https``), or is unknown.
        StorageError: no such bucket, no credentials, no permission, or the server fails.
    """
    from fsspec.utils import glob_translate

    protocol, path = split(location)
    fixed = path if path.endswith("/") else re.split(r"[*?\[]", path, maxsplit=1)[0]
    matches = re.compile(glob_translate(path)).match if fixed != path else None
    if protocol == "s3":
        files = list_s3(location, fixed)
    elif protocol == "file":
        files = _list_local(path if matches is None else fixed.rpartition("/")[0] or "/")
    else:
        raise ConfigurationError(f"{shown(location)}: {protocol} has no listing; give a list of its files")
    return (file for file in files if matches is None or matches(split(file.url)[1]))


def stat(url: str) -> RemoteFile | None:
    """What the server says about one file; None if it does not exist. Raises StorageError."""
    protocol, path = split(url)
    try:
        if protocol == "s3":
            bucket, _, key = path.partition("/")
            head = retried(url, lambda: filesystem("s3").call_s3("head_object", Bucket=bucket, Key=key))
            digest = head.get("Metadata", {}).get("sha256")
            return RemoteFile(url, head["ContentLength"], head["ETag"].strip('"'), digest)
        info = retried(url, lambda: filesystem(protocol).info(name_of(url)))
    except MissingError:
        return None
    digest = sha256_file(path) if protocol == "file" and info["type"] == "file" else None
    return RemoteFile(url, info.get("size"), info.get("ETag"), digest)


def read_bytes(url: str) -> bytes:
    """A whole file. Raises StorageError."""
    data = retried(url, lambda: filesystem(split(url)[0]).cat_file(name_of(url)))
    assert isinstance(data, bytes)
    return data


def open_file(url: str) -> IO[bytes]:
    """A file open for reading and seeking; only the blocks that are read are fetched. Raises StorageError."""
    found = stat(url)
    if found is None:
        raise StorageError(f"{shown(url)}: no such file")
    if found.size is None:
        return io.BytesIO(read_bytes(url))
    return io.BufferedReader(_BlockReader(url, found.size), _BLOCK)


def download(url: str, path: Path, *, size: int | None = None, sha256: str | None = None) -> None:
    """Fetch a file to ``path``, where it appears only when it is complete.

    Args:
        size, sha256: the expected values, if known; the size that the server states is always compared.

    Raises:
        StorageError: it does not exist, or storage fails.
        CorruptArtifactError: its size or digest differs.
    """
    from fsspec.callbacks import Callback

    protocol, _ = split(url)
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")

    def fetch() -> int | None:
        progress = Callback()
        filesystem(protocol).get_file(name_of(url), str(temporary), callback=progress)
        stated: int | None = progress.size
        return stated

    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            stated = retried(url, fetch)
            found = temporary.stat().st_size
            for expected in (stated, size):
                if expected is not None and found != expected:
                    raise CorruptArtifactError(f"{shown(url)}: {found} bytes instead of {expected}")
            if sha256 is not None and sha256_file(temporary) != sha256:
                raise CorruptArtifactError(f"{shown(url)}: its sha256 is not {sha256}")
            with open(temporary, "rb") as stream:
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def upload(path: Path, url: str) -> str:
    """Store a local file under ``url``, where it appears only when it is complete, with its digest as metadata.

    Returns:
        The file's hex SHA-256.

    Raises:
        ConfigurationError: the protocol cannot be written (``https``).
        StorageError: no such bucket, no permission, or the server fails.
    """
    protocol = _writable(url)
    digest = sha256_file(path)
    options = {"Metadata": {"sha256": digest}, "chunksize": _PART, "max_concurrency": 2} if protocol == "s3" else {}
    retried(url, lambda: filesystem(protocol).put_file(str(path), name_of(url), **options))
    return digest


def remove(url: str) -> None:
    """Remove one file; it is not an error if it does not exist. Raises StorageError."""
    protocol = _writable(url)
    try:
        retried(url, lambda: filesystem(protocol).rm_file(name_of(url)))
    except MissingError:
        return


def check_writable(prefix: str) -> None:
    """Write and remove a small object under ``prefix``, so that problems are found before any work.

    Raises ConfigurationError or StorageError as ``upload`` does.
    """
    protocol = _writable(prefix)
    probe = f"{prefix.rstrip('/')}/{PROBE}{os.getpid()}"
    retried(prefix, lambda: filesystem(protocol).pipe_file(name_of(probe), b"probe"))
    remove(probe)


def _list_local(folder: str) -> Iterator[RemoteFile]:
    for name, info in sorted(retried(folder, lambda: filesystem("file").find(folder, detail=True)).items()):
        yield RemoteFile(f"file://{name}", info["size"])


class _BlockReader(io.RawIOBase):
    """A remote file's bytes by range; each range is retried separately."""

    def __init__(self, url: str, size: int) -> None:
        self.url, self.size, self.position = url, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.position = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.size}[whence])
        return self.position

    def readall(self) -> bytes:
        """The rest of the file; the inherited method requests 8 KiB at a time."""
        data = bytearray(self.size - min(self.position, self.size))
        for start in range(0, len(data), _BLOCK):
            self.readinto(memoryview(data)[start : start + _BLOCK])
        return bytes(data)

    def readinto(self, buffer: Any) -> int:
        start, end = self.position, min(self.position + len(buffer), self.size)
        if start >= end:
            return 0
        server, name = filesystem(split(self.url)[0]), name_of(self.url)
        data: bytes = retried(self.url, lambda: server.cat_file(name, start=start, end=end))
        if len(data) == self.size:  # the server does not support ranges and sent everything
            data = data[start:end]
        if len(data) != end - start:
            raise StorageError(f"{shown(self.url)}: {len(data)} bytes at {start} instead of {end - start}")
        buffer[: len(data)] = data
        self.position = end
        return len(data)


def _writable(url: str) -> str:
    protocol, _ = split(url)
    if protocol not in ("s3", "file"):
        raise ConfigurationError(f"{shown(url)}: {protocol} cannot be written")
    return protocol
