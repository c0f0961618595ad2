"""File names as text. Tables of clips and of rejects are made of it, so changes here change results."""

from __future__ import annotations


def printable(name: str) -> str:
    """A file name as text: undecodable bytes, which are surrogates in Python, as ``\\xff``."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
