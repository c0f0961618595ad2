"""Joins the members of a tar to samples: those whose names have the same key belong together."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field

from walt.ingest.sources.kinds import KeyRule
from walt.ingest.sources.tar_captions import Spec
from walt.ingest.sources.tar_headers import Place
from walt.media.kinds import is_media


@dataclass
class Sample:
    """The members with one key."""

    key: str
    places: dict[str, Place] = field(default_factory=dict)
    """By extension, in lower case."""
    names: dict[str, str] = field(default_factory=dict)
    """Of the members, by extension."""

    media: list[str] = field(default_factory=list)
    """Extensions of its pictures and videos."""

    def add(self, extension: str, name: str, place: Place) -> None:
        """Add a member, the first with its extension."""
        self.places[extension], self.names[extension] = place, name
        if is_media(plain(name)):
            self.media.append(extension)


def plain(name: str) -> str:
    """``./a/b.mp4`` as ``a/b.mp4``: tars of a whole folder have such names."""
    return posixpath.normpath(name) if name.startswith("./") else name


def split_name(name: str, rule: KeyRule) -> tuple[str, str] | None:
    """A member's name as key and extension; None: it has no extension. Dots in folders' names do not count."""
    folder, slash, last = plain(name).rpartition("/")
    if rule == "first_dot":
        stem, dot, extension = last.partition(".")
    elif rule == "last_dot":
        stem, dot, extension = last.rpartition(".")
    else:
        ends = [suffix for suffix in rule if last.lower().endswith(f".{suffix.lower()}")]
        extension = max(ends, key=len, default="") or last.rpartition(".")[2]
        stem, dot = last[: -len(extension) - 1], "."
    return (f"{folder}{slash}{stem}", extension.lower()) if stem and dot and extension else None


def convention(names: list[str], specs: tuple[Spec, ...], rule: KeyRule) -> str | None:
    """What to change where captions are there and none has the key of a video; None: no other rule would join any.

    Args:
        names: of the tar's members, those that are refused left out.
    """
    ends = [spec for spec in specs if not spec.in_index]
    for other in ("first_dot", "last_dot"):
        keys: dict[str, str] = {}
        for name in names:
            split = split_name(name, other)
            if split and is_media(plain(name)):
                keys.setdefault(split[0], name)
        joined: dict[str, tuple[str, str]] = {}
        for name in names:
            split = split_name(name, other)
            for spec in ends:
                if split and split[0] in keys and f".{split[1]}".endswith(f".{spec.extension}"):
                    joined.setdefault(split[0], (name, f"{split[1]}:{spec.key}" if spec.key else split[1]))
        if joined:
            key, (name, caption) = next(iter(joined.items()))
            return (
                f"by its convention (source.key_ends_at) a key ends at {_said(rule)}, so {keys[key]!r} and {name!r} "
                f"are two samples; with key_ends_at: {other} and caption: '{caption}' {len(joined)} captions would join"
            )
    return None


def _said(rule: KeyRule) -> str:
    return {"first_dot": "the first dot", "last_dot": "the last dot"}.get(str(rule), "the suffixes that it lists")
