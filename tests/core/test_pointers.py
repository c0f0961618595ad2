"""Small texts in place of files that were not fetched."""

from __future__ import annotations

import io

import pytest

from walt.core.pointers import pointer_at, pointer_in

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 1234567\n"
ANNEX = b"/annex/objects/SHA256E-s1048576--" + b"0f" * 32 + b".mp4\n"


@pytest.mark.parametrize(
    ("data", "way"),
    [
        (LFS, "git lfs pull"),
        (ANNEX, "git annex get"),
        (b"\n<!DOCTYPE html>\n<html>", "download it again"),
        (b"\xef\xbb\xbf<HTML lang='en'>", "download it again"),
        (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>', "download it again"),
    ],
)
def test_a_pointer_is_told_with_the_way_to_its_file(data: bytes, way: str) -> None:
    stream = io.BytesIO(data)
    assert way in (pointer_at(stream) or "")
    assert stream.tell() == 0


@pytest.mark.parametrize(
    "data", [b"", b"a cat", b"version https://example.org", b"see /annex/objects/", ANNEX + b"and", b"<?xml?><MPD>"]
)
def test_other_files_are_themselves(data: bytes) -> None:
    assert pointer_in(data) is None
