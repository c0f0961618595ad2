"""Several collections as one dataset: each member is listed by its own adapter, and its name prefixes its items.

``a.mp4`` of the member ``videos`` is the input ``videos/a.mp4``, so that equal names in two members are two inputs.
Equal bytes in two members are one source, as in any dataset: the first of the sorted names is used, the other is
refused as ``duplicate``. How often a picture or a video is drawn in training is set by ``image_fraction``.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import replace

from walt.core import remote
from walt.core.errors import ConfigurationError
from walt.ingest.sources.items import Again, Entry, Item, Refusal
from walt.ingest.sources.kinds import Member


def folder_of(path: str, member: Member) -> str:
    """The member's folder, relative to the project's root, or a URL.

    Args:
        path: the dataset's.
    """
    if remote.is_remote(member.path):
        return member.path
    below = posixpath.normpath(member.path)
    return path if below == "." else f"{path.rstrip('/')}/{below}"


def entries(name: str, member: Member, found: Iterable[Entry]) -> Iterator[Entry]:
    """What the member's adapter finds, with the member's name as a prefix, and without labels if it has no classes.

    Raises:
        ConfigurationError: as the adapter does; the message names the member.
    """
    try:
        for entry in found:
            if isinstance(entry, Again):
                yield replace(entry, item=_named(entry.item, name, member))
            else:
                yield _named(entry, name, member) if isinstance(entry, Item) else _refused(entry, name)
    except ConfigurationError as error:
        raise ConfigurationError(f"source.members.{name}: {error}") from None


def _named(item: Item, name: str, member: Member) -> Item:
    return item._replace(source=f"{name}/{item.source}", label=None if member.classes is None else item.label)


def _refused(refusal: Refusal, name: str) -> Refusal:
    return replace(refusal, source=f"{name}/{refusal.source}")
