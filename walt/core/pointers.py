"""What stands in a file's place until it is fetched: pointers of version control, and what a server sent instead."""

from __future__ import annotations

import re
from typing import IO

LOOKED_AT = 256
"""How many bytes of a file's beginning tell."""
_LFS = re.compile(rb"version https://git-lfs\.github\.com/spec/v\d")
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<!doctype html|<html[\s>]|<\?xml[^>]*\?>\s*<Error>)", re.IGNORECASE)
_ANNEX = re.compile(rb"/annex/objects/[A-Z0-9]+E?-s\d+--\S+\s*")


def pointer_in(begin: bytes) -> str | None:
    """What a file is instead of the one that its name says, and how that is fetched; None: it is itself.

    Args:
        begin: of the file, as many bytes as it has, or more than a few.
    """
    if _LFS.match(begin):
        return "a pointer of Git LFS, not the file itself: `git lfs pull` fetches it"
    if _ANNEX.fullmatch(begin):
        return "a pointer of git-annex, not the file itself: `git annex get` fetches it"
    if _PAGE.match(begin):
        return "a page that a server sent in place of the file, such as an error: download it again"
    return None


def pointer_at(stream: IO[bytes]) -> str | None:
    """The same of a stream at its start, where it is again afterwards."""
    begin = stream.read(LOOKED_AT)
    stream.seek(0)
    return pointer_in(begin)
