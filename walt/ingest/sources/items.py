"""What every adapter lists: items to ingest, and inputs that are refused before their bytes are read."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar
from urllib.parse import unquote

from walt.data.captions import Caption
from walt.media.kinds import Kind, kind_of

if TYPE_CHECKING:  # workers import this module, and need no tables
    from walt.data.clip_table import Split

KeyT = TypeVar("KeyT", bound=Hashable)
_LOCAL = "file://"
_SERVED = "/data/local-files/?d="
Span = tuple[float, float]
"""Start and end in seconds after the file's first frame."""


class Item(NamedTuple):
    """One input that may become clips. There may be millions: a dataclass takes several times as long to make."""

    source: str
    """Its name in the dataset, with ``#t=START,END`` for a span; bytes that are not UTF-8 are surrogates."""
    path: str
    """Where the bytes are: see ``walt.ingest.sources.locations``."""
    kind: Kind
    captions: tuple[Caption, ...]
    """In the order of the dataset's own lists, none of them empty; no captions: unconditional."""
    caption_truncated: bool
    """Whether one of them was longer than allowed."""
    label: int | None
    split: Split | None = None
    """As the dataset's own lists say; None: the hash of the bytes decides."""
    span: Span | None = None
    """None: the whole file."""
    stills: bool = True
    """Whether a video of exactly one frame is a still; otherwise it is too short."""
    held_out_share: float = 0.0
    """Share of the dataset, or of the union's member, that is held out by hash where ``split`` is None."""
    group: str | None = None
    """What it was cut from, such as a recording: inputs of one group are on the same side of the split."""
    numbers: Mapping[str, float | None] | None = None
    """Numbers that the user's tables give to it, by column; None: the dataset has no such columns."""

    @property
    def caption(self) -> str | None:
        """The text of its first caption; None: unconditional."""
        return self.captions[0].text if self.captions else None


@dataclass(frozen=True, slots=True)
class Refusal:
    """One input that was refused when it was listed."""

    source: str
    code: str
    cause: str


@dataclass(frozen=True, slots=True)
class Again:
    """A further row of a file that an earlier row named: its captions are further captions of that input."""

    item: Item
    cause: str
    """Why it is refused if it brings no caption that the input does not have."""

    @property
    def source(self) -> str:
        """The input's name."""
        return self.item.source


Entry = Item | Refusal | Again


@dataclass
class Listing:
    """All inputs of a dataset, each exactly once: as an item, or as a refusal."""

    items: list[Item] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    @classmethod
    def collect(cls, entries: Iterable[Entry]) -> Listing:
        """Collect what an adapter yields; items are sorted by the bytes of their names, whatever the order of rows.

        Captions of further rows of a file join those of its first row. A further row is refused as ``duplicate_row`` if
        all of its captions are there already, or if it says something else of the label or the split.
        """
        listing, again = cls(), list[Again]()
        for entry in entries:
            if isinstance(entry, Item):
                listing.items.append(entry)
            elif isinstance(entry, Refusal):
                listing.refusals.append(entry)
            else:
                again.append(entry)
        listing._join(again)
        listing.items.sort(key=lambda item: os.fsencode(item.source))
        return listing

    def _join(self, again: list[Again]) -> None:
        """Join further rows to the items that they belong to; where the first row had no caption, the next is it."""
        places = {(item.path, item.span): place for place, item in enumerate(self.items)} if again else {}
        joined: dict[int, dict[str, Caption]] = {}
        for entry in again:
            place = places.get((entry.item.path, entry.item.span))
            if place is None:
                places[entry.item.path, entry.item.span] = len(self.items)
                self.items.append(entry.item)
                uncaptioned = (refusal for refusal in self.refusals if refusal.source == entry.source)
                if found := next((refusal for refusal in uncaptioned if refusal.code == "no_caption"), None):
                    self.refusals.remove(found)
                continue
            first = self.items[place]
            captions = joined.setdefault(place, {caption.text: caption for caption in first.captions})
            if (first.label, first.split) != (entry.item.label, entry.item.split):
                cause = f"{entry.cause}, with another label or split"
                self.refusals.append(Refusal(entry.source, "duplicate_row", cause))
            elif all(caption.text in captions for caption in entry.item.captions):
                self.refusals.append(Refusal(entry.source, "duplicate_row", entry.cause))
            else:
                for caption in entry.item.captions:
                    captions.setdefault(caption.text, caption)
                if entry.item.caption_truncated and not first.caption_truncated:
                    self.items[place] = first._replace(caption_truncated=True)
        for place, captions in joined.items():
            self.items[place] = self.items[place]._replace(captions=tuple(captions.values()))

    def sources(self) -> Iterator[str]:
        """Names of all inputs."""
        yield from (item.source for item in self.items)
        yield from (refusal.source for refusal in self.refusals)


@dataclass(frozen=True)
class Rules:
    """What the descriptor, or a union's member, and the ``ingest`` section say about every item, whatever its kind."""

    images: bool
    """Whether still pictures are kept."""
    caption_required: bool
    max_caption_characters: int
    held_out_share: float = 0.0
    """Share that is kept for evaluation where the source's own lists say nothing."""

    def item(
        self,
        source: str,
        path: str,
        captions: str | Sequence[Caption],
        *,
        label: int | None = None,
        split: Split | None = None,
        span: Span | None = None,
        name: str | None = None,
        group: str | None = None,
        numbers: Mapping[str, float | None] | None = None,
    ) -> Entry:
        """Check the kind and the captions: an item, or a refusal (``image``, ``no_caption``, ``bad_caption``).

        Args:
            captions: empty ones are left out, and those whose text is that of an earlier one; a text is a single
                caption without a name.
            name: a name whose suffix gives the kind, where that of ``source`` does not.
            group, numbers: as in ``Item``.
        """
        kind = kind_of(name or source)
        given = (Caption("", captions),) if isinstance(captions, str) else captions
        found: list[Caption] = []
        for name_of_caption, text in given:
            stripped = text.strip()
            if stripped and all(stripped != other.text for other in found):
                found.append(Caption(name_of_caption, stripped))
        if span is not None:
            source = span_name(source, span)
        if self.refuses(kind):
            return Refusal(source, "image", "the dataset's descriptor does not accept still pictures")
        if not found and self.caption_required:
            return Refusal(source, "no_caption", "it has no caption, and the dataset's descriptor requires one")
        if not all(_is_text(caption.text) for caption in found):
            what = "NUL" if any("\0" in caption.text for caption in found) else "bytes that are not UTF-8 text"
            return Refusal(source, "bad_caption", f"the caption contains {what}")
        most = self.max_caption_characters
        too_long = any(len(caption.text) > most for caption in found)
        if too_long:
            found = [Caption(caption.name, caption.text[:most]) for caption in found]
        return Item(
            source, path, kind, tuple(found), too_long, label, split, span, self.images, self.held_out_share, group,
            numbers,
        )  # fmt: skip

    def refuses(self, kind: Kind) -> bool:
        """Whether all inputs of a kind are refused."""
        return kind == "image" and not self.images

    def single_captions(self, name: str, texts: Sequence[str]) -> list[tuple[Caption] | None]:
        """For each of many inputs its captions, if it has only this text; None: ``item`` must look at it, which refuses
        an empty one, cuts a long one, or finds bytes that are not text."""
        stripped = list(map(str.strip, texts))
        new = partial(tuple.__new__, Caption)  # as Caption._make, without a call in Python for each
        made: list[tuple[Caption] | None] = list(zip(map(new, zip(repeat(name), stripped)), strict=False))
        all_text, most = _is_text("".join(stripped)), self.max_caption_characters
        if all_text and all(stripped) and max(map(len, stripped), default=0) <= most:
            return made
        return [
            captions if 0 < len(text) <= most and (all_text or _is_text(text)) else None
            for captions, text in zip(made, stripped, strict=True)
        ]


class Seen(Generic[KeyT]):
    """Records which inputs were listed, and in which row."""

    def __init__(self) -> None:
        self._places: dict[KeyT, int] = {}
        self._tables: list[str] = []

    def add(self, key: KeyT, table: str, line: int) -> str | None:
        """Remember that this row named ``key``. Returns the earlier row that named it, worded for a message about
        ``table``; None: this is the first."""
        known = len(self._places)
        place = self._places.setdefault(key, line << 20 | self._number(table))
        if len(self._places) > known:
            return None
        there = self._tables[place & 0xFFFFF]
        return f"line {place >> 20}" if there == table else f"line {place >> 20} of {there}"

    def add_all(self, keys: Iterable[KeyT], table: str, lines: Iterable[int]) -> list[bool]:
        """Remember for each of these rows what it named; those that are not the first to name it stay unremembered.
        Returns which are the first. A line may be given once only."""
        number = self._number(table)
        own = [line << 20 | number for line in lines]
        places = list(map(self._places.setdefault, keys, own))
        return [True] * len(own) if places == own else [a == b for a, b in zip(places, own, strict=True)]

    def _number(self, table: str) -> int:
        if not self._tables or self._tables[-1] != table:
            self._tables.append(table)
        return len(self._tables) - 1

    def __contains__(self, key: KeyT) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[KeyT]:
        """What rows named, in their order."""
        return iter(self._places)


def span_name(source: str, span: Span) -> str:
    """``a.mp4#t=62.5,69.001``: the name of a span of a file (W3C media fragments), to the millisecond."""
    start, end = span
    if start.is_integer() and end.is_integer():  # most spans of most lists, in a third of the time
        return f"{source}#t={start:.0f},{end:.0f}"
    first, last = (f"{moment:.3f}".rstrip("0").rstrip(".") for moment in span)
    return f"{source}#t={first},{last}"


def span_names(sources: Sequence[str], spans: Sequence[Span | None]) -> list[str]:
    """The same as ``span_name`` of each; where there is no span, the source itself."""
    if all(spans):
        starts, ends = zip(*spans, strict=True)
        if all(map(float.is_integer, starts)) and all(map(float.is_integer, ends)):
            return list(map("%s#t=%d,%d".__mod__, zip(sources, starts, ends, strict=True)))
    return [span_name(source, span) if span else source for source, span in zip(sources, spans, strict=True)]


def leaves_folder(name: str) -> bool:
    """Whether the path, as written, leaves its folder. Links inside it are not resolved, since its owner made them."""
    path = os.path.normpath(name)
    return path.startswith(("/", "../")) or path == os.pardir


def spellings(path: str) -> tuple[str, ...]:
    """A path as it is written, then as the same file may be called here: with slashes for the backslashes of Windows,
    with accents as letters of their own or not, as other systems keep them, without blanks around it, and with the
    signs that ``%20`` and its like stand for in URLs. Of a ``file://`` URL, which is a path, and of Label Studio's
    local files: without its beginning."""
    bare = path.strip()
    if path.isascii() and "\\" not in path and "%" not in path and not path.startswith((_LOCAL, _SERVED)):
        return (path,) if bare == path else (path, bare)
    if path.startswith(_LOCAL):
        path = "/" + path.removeprefix(_LOCAL).partition("/")[2]  # without the name of a machine
    path = path.removeprefix(_SERVED)
    slashed = path.replace("\\", "/")
    forms = (path, slashed, *(unicodedata.normalize(form, slashed) for form in ("NFC", "NFD")))
    plain = tuple(dict.fromkeys((*forms, *(form.strip() for form in forms))))
    return plain if "%" not in path else tuple(dict.fromkeys((*plain, *map(unquote, plain))))


def _is_text(caption: str) -> bool:
    """Whether a caption is UTF-8 text without NUL. It holds of several joined if it holds of each."""
    if "\0" in caption:
        return False
    try:
        caption.encode("utf-8")
    except UnicodeEncodeError:  # a surrogate: a byte that was not UTF-8
        return False
    return True
