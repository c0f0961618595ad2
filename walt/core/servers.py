"""How servers are reached: one file system per protocol, through fsspec; listings of S3, and ranges of its objects.

What is said of files at URLs in ``walt.core.remote`` holds here as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.core.remote_errors import MissingError, retried, shown

PROTOCOLS = ("s3", "https", "http", "file")

S3_ATTEMPTS = 3
"""Attempts at each request, by botocore; in addition, ``retried`` repeats the whole call."""
_PAGE = 1000
"""Objects a listing request returns at most."""


@dataclass(frozen=True)
class RemoteFile:
    """What a server says about a file."""

    url: str
    size: int | None
    """Bytes; None where the server does not say."""
    etag: str | None = None
    sha256: str | None = None
    """Hex digest that the uploader stored as metadata; for ``file://`` that of the file. A listing does not have it."""


def split(url: str) -> tuple[str, str]:
    """(protocol, bucket and key or path). Raises ConfigurationError for an unsupported protocol."""
    protocol, mark, path = url.partition("://")
    if not mark or protocol not in PROTOCOLS:
        raise ConfigurationError(f"{shown(url)}: not a URL of {', '.join(PROTOCOLS)}")
    return protocol, path


def name_of(url: str) -> str:
    """The file's name in fsspec: the whole URL for http, the path for the others."""
    protocol, path = split(url)
    return url if protocol in ("http", "https") else path


def filesystem(protocol: str) -> Any:
    environment = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    return _open_filesystem(protocol, environment if protocol == "s3" else ())


@lru_cache(maxsize=4)
def _open_filesystem(protocol: str, environment: tuple[tuple[str, str], ...]) -> Any:
    """One file system per environment, which s3fs reads when it opens a session."""
    import fsspec  # only for remote files: it takes as long to load as all of a worker's other modules

    options: dict[str, Any] = {"skip_instance_cache": True}
    if protocol == "s3":
        options["config_kwargs"] = {"retries": {"mode": "standard", "total_max_attempts": S3_ATTEMPTS}}
        options["use_listings_cache"] = False
    elif protocol in ("http", "https"):
        from aiohttp import ClientTimeout

        options["client_kwargs"] = {"trust_env": True, "timeout": ClientTimeout(sock_connect=10, sock_read=60)}
    elif protocol == "file":
        options["auto_mkdir"] = True
    filesystem = fsspec.filesystem(protocol, **options)
    if protocol == "s3":
        filesystem.split_path = _bucket_and_key
    filesystem.retries = 3  # how often s3fs itself resumes in the middle of a body
    return filesystem


def _bucket_and_key(path: str) -> tuple[str, str, None]:
    """Replaces the function of s3fs, which takes ``?versionId=`` in a name for the version of another object."""
    bucket, _, key = path.partition("/")
    return bucket, key, None


def list_older_versions(url: str) -> Iterator[tuple[str, str]]:
    """(key, version) of what a bucket on S3 keeps of objects that were replaced or removed, below ``s3://bucket/prefix/``.

    Raises:
        StorageError: as a listing; a user may list objects and not their versions.
    """
    bucket, _, prefix = split(url)[1].partition("/")
    more: dict[str, str] = {}
    while True:
        page = retried(
            url,
            lambda more=more: filesystem("s3").call_s3(  # type: ignore[misc]
                "list_object_versions", Bucket=bucket, Prefix=prefix, MaxKeys=_PAGE, **more
            ),
        )
        for found in page.get("Versions", ()):
            if not found["IsLatest"]:
                yield found["Key"], found["VersionId"]
        if not page.get("IsTruncated"):
            return
        more = {"KeyMarker": page["NextKeyMarker"]}
        if "NextVersionIdMarker" in page:
            more["VersionIdMarker"] = page["NextVersionIdMarker"]


def list_s3(location: str, fixed: str) -> Iterator[RemoteFile]:
    """The objects whose bucket and key begin with ``fixed``, by name; one page is requested at a time. Raises
    StorageError."""
    bucket, _, prefix = fixed.partition("/")
    more: dict[str, str] = {}
    while True:
        page = retried(
            location,
            lambda more=more: filesystem("s3").call_s3(  # type: ignore[misc]
                "list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=_PAGE, **more
            ),
        )
        for found in page.get("Contents", ()):
            if not found["Key"].endswith("/"):  # a folder's marker
                yield RemoteFile(f"s3://{bucket}/{found['Key']}", found["Size"], found["ETag"].strip('"'))
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


def read_range(url: str, start: int, end: int, etag: str) -> bytes:
    """Bytes ``start`` .. ``end - 1`` of the object on S3 that has this ETag.

    Raises:
        CorruptArtifactError: another object is there now, or none.
        StorageError: the server fails, also when it is asked again; or it gave another number of bytes.
    """
    from fsspec.asyn import sync

    bucket, _, key = split(url)[1].partition("/")
    s3 = filesystem("s3")

    async def fetch() -> bytes:
        given = {"Bucket": bucket, "Key": key, "Range": f"bytes={start}-{end - 1}", "IfMatch": f'"{etag}"'}
        try:
            answer = await s3._call_s3("get_object", **given)
        except OSError as error:
            response = getattr(error.__cause__, "response", None) or {}
            if response.get("Error", {}).get("Code") != "PreconditionFailed":
                raise
            raise CorruptArtifactError(f"{shown(url)}: another file is there since it was verified") from None
        async with answer["Body"] as body:
            data: bytes = await body.read()
            return data

    try:
        data: bytes = retried(url, lambda: sync(s3.loop, fetch))
    except MissingError:
        raise CorruptArtifactError(f"{shown(url)}: removed while it was in use") from None
    if len(data) != end - start:
        raise StorageError(f"{shown(url)}: {len(data)} bytes at {start} instead of {end - start}")
    return data
