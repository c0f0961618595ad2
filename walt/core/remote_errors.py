"""Calls to servers, for ``remote.py``: which failures are retried, with which pauses, and their messages."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

from walt.core.errors import StorageError

_ATTEMPTS = 5
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 15.0

ResultT = TypeVar("ResultT")


class MissingError(StorageError):
    """The file or the bucket does not exist."""


def shown(url: str) -> str:
    """A URL for messages: without user, password and query, which may be secret."""
    parts = urlsplit(url)
    if parts.scheme in ("http", "https"):
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return url


def retried(url: str, call: Callable[[], ResultT]) -> ResultT:
    """``call()``, repeated after temporary failures. Raises StorageError naming the URL."""
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

    attempts = Retrying(
        retry=retry_if_exception(_is_temporary), stop=stop_after_attempt(_ATTEMPTS), reraise=True,
        wait=wait_exponential_jitter(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, jitter=_FIRST_PAUSE_SECONDS),
    )  # fmt: skip
    try:
        return attempts(call)
    except Exception as error:
        explained = _explain(url, _reason(error))
        if explained is None:
            raise
        raise explained from None


def _reason(error: BaseException) -> BaseException:
    """The error itself, or its cause: fsspec says "not found" for every URL whose headers it could not get."""
    from aiohttp import ClientError

    cause = error.__cause__
    hidden = isinstance(error, FileNotFoundError) and isinstance(cause, (ClientError, OSError))
    return cause if hidden and cause is not None and getattr(cause, "status", None) not in (404, 410) else error


def _is_temporary(error: BaseException) -> bool:
    from aiohttp import ClientError, ClientResponseError
    from botocore.exceptions import HTTPClientError
    from botocore.parsers import ResponseParserError

    error = _reason(error)
    if isinstance(error, ClientResponseError):
        return error.status == 429 or error.status >= 500
    if isinstance(error, (ClientError, HTTPClientError, ResponseParserError, ConnectionError)):
        return True
    busy = (errno.EBUSY, getattr(errno, "EREMOTEIO", errno.EIO), errno.ETIMEDOUT)  # s3fs: 503 and SlowDown, 500
    return isinstance(error, TimeoutError) or (isinstance(error, OSError) and error.errno in busy)


def _explain(url: str, error: BaseException) -> StorageError | None:
    """The error as a StorageError of this project; None for a defect, which has nothing to do with storage."""
    from aiohttp import ClientError
    from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError

    where = shown(url)
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return StorageError(f"{where}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if isinstance(error, FileNotFoundError):
        response = getattr(error.__cause__, "response", None) or {}
        bucket = response.get("Error", {}).get("Code") == "NoSuchBucket"
        return MissingError(f"{where}: no such {'bucket' if bucket else 'file'}")
    status = getattr(error, "status", None)
    if isinstance(error, PermissionError) or status in (401, 403):
        return StorageError(f"{where}: no permission, or the credentials are wrong")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return StorageError(f"{where}: {os.strerror(error.errno)}")
    if isinstance(error, (OSError, ClientError, BotoCoreError)):
        return StorageError(f"{where}: {_without_secrets(error)}")
    return None


def _without_secrets(error: BaseException) -> str:
    text = (str(error) or type(error).__name__).splitlines()[0]
    secrets = [os.environ.get(f"AWS_{name}") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")]
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return re.sub(r"(https?://)[^/\s@]*@", r"\1", re.sub(r"\?[^\s'\"]*", "", text))
