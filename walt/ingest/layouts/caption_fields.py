"""Which fields of JSON records hold captions, by their usual names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from walt.ingest.layouts import usual_names
from walt.ingest.tables.cells import BadValue, Record, convert

_DEPTH = 4
_MARKS = re.compile("[.,;:!?]")
_SENTENCE = re.compile(
    rb"(?<![\w/.-])[A-Za-z]+(?:[,;]? [a-z]{1,15}){3,}(?![\w/-])"
    rb"|(?:[\xc3-\xdf][\x80-\xbf]){3,}(?:[,;]? (?:[\xc3-\xdf][\x80-\xbf]|[a-z])+){3,}"  # two bytes a letter in UTF-8
    rb"|(?:[\xe3-\xed][\x80-\xbf]{2}){6,}"  # three: Chinese, Japanese, Korean
)
_NO_BLANKS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
"""Letters of Thai, Lao, Burmese, Khmer, Japanese and Chinese, whose words have no blanks between them."""
_FILE = re.compile(r"\S+\.\w{2,5}")
_REMARK = re.compile(rb"^[ \t]*#.*$|<!--[^>]*-->", re.MULTILINE)
_CUE = re.compile(r"^\s*[\d:]+[.,]\d+\s*-->\s*[\d:]+[.,]\d+", re.MULTILINE)
_MOMENT = r"(?:\d+:\d\d(?::\d\d)?(?:[.,]\d+)?|\d+(?:\.\d+)? ?s(?:ec(?:onds)?)?|\d+\.\d+)"
_TIMED = re.compile(
    rf"\s*(?:[\[(<]?{_MOMENT}[\])>]?(?:[\s,;|:]|$)|[\[(<]?\s*(?:{_MOMENT}|\d+)\s*(?:-|\u2013|to|,)\s*(?:{_MOMENT}|\d+)\s*[\])>:])"
)
_NO_WORDS = re.compile(r"\s*\d+\s*$|WEBVTT|(Kind|Language): ")
_SETTINGS = re.compile(r"^(?:Negative prompt: |Steps: \d+, )", re.MULTILINE)
_WHEN = frozenset(("start", "timestamp", "seek"))
_OF_SPEECH = frozenset(("avg_logprob", "no_speech_prob", "speaker", "tokens", "words"))
_LENGTHS = ("long", "medium", "short")


def caption_fields(records: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    """The fields that hold captions in one of the records, as ``walt.ingest.tables.fields`` has them, the surest first;
    ``*.long`` and ``*.short`` where a record for each model holds them."""
    found: Counter[str] = Counter()
    for record in records:
        found.update(set(_fields(record, "", _DEPTH)))
    order = {name: place for place, name in enumerate(usual_names.CAPTIONS)}
    return tuple(sorted(found, key=lambda name: (order.get(name.split(".")[-1], len(order)), name)))


def _fields(record: dict[str, Any], before: str, depth: int) -> Iterator[str]:
    for name, value in record.items():
        if isinstance(value, dict) and depth:
            inner = [key for key in value if key in _LENGTHS]
            if inner:
                prefix = before + ("*" if len(record) == 1 else name)
                yield from (f"{prefix}.{key}" for key in inner)
            else:
                yield from _fields(value, f"{before}{name}.", depth - 1)
        elif name == "windows" and isinstance(value, list) and value and isinstance(value[0], dict):
            yield from _fields(value[0], f"{before}{name}.0.", depth - 1)
        elif usual_names.is_caption(before + name):
            cell = convert(value, "texts")
            if cell and not isinstance(cell, BadValue) and usual_names.may_be_caption(name, cell):
                yield before + name


def is_prose(value: Any, words: int) -> bool:
    """Whether a value is a text of as many words or numbers, and no URL, path, list or record that is spelled."""
    if not isinstance(value, str) or "://" in value or value.startswith(("[", "{", "/")) or _FILE.fullmatch(value):
        return False
    parts = _MARKS.sub(" ", value).split()
    without_blanks = len(_NO_BLANKS.findall(value)) >= 2 * words
    return without_blanks or (len(parts) >= words and sum(map(str.isalpha, parts)) > 1)


def fields_of_prose(record: dict[str, Any], depth: int = 2) -> Iterator[str]:
    """Fields, also inside of others, that hold a text of three words or more, whatever their names are."""
    for name, value in record.items():
        if isinstance(value, dict) and depth:
            yield from (f"{name}.{inner}" for inner in fields_of_prose(value, depth - 1))
        elif is_prose(value, 3):
            yield name


def texts_inside(value: Any, depth: int = 5, above: str = "") -> Iterator[str]:
    """Texts under the names of captions, however deep they are. Args: above: the name of the value."""
    if isinstance(value, dict):
        pairs = [(f"{above}.{name}" if above else name, part) for name, part in value.items()]
    else:
        pairs = [(above, part) for part in value] if isinstance(value, list) else []
    for name, part in pairs if depth else ():
        if isinstance(part, str) and usual_names.is_caption(name) and part.strip():
            yield part
        yield from texts_inside(part, depth - 1, "caption" if usual_names.is_caption(name) else name)


def captions_in_lists(value: Any, before: str = "", depth: int = _DEPTH) -> Iterator[str]:
    """The names of captions in records of lists, however deep: ``scenes.activities.description``."""
    for name, inner in value.items() if isinstance(value, dict) and depth else ():
        path = f"{before}{name}"
        if isinstance(inner, dict):
            yield from captions_in_lists(inner, f"{path}.", depth - 1)
        elif isinstance(inner, list) and name != "windows":
            for part in inner:
                own = part if isinstance(part, dict) else {}
                texts = (field for field, text in own.items() if usual_names.is_caption(field) and is_prose(text, 1))
                yield from (f"{path}.{field}" for field in texts)
                yield from captions_in_lists(part, f"{path}.", depth - 1)


def holds_sentences(begin: bytes) -> bool:
    """Whether the beginning of a file of any kind holds a sentence: four words or more, other than in a remark."""
    return bool(_SENTENCE.search(_REMARK.sub(b"", begin.replace(b"\0", b""))))


def are_subtitles(text: str) -> bool:
    """Whether a text has a line that says from when to when the next one is shown, as SRT and WebVTT have; or each of
    two lines or more begins with a time (``0:03 a cat``, ``[0.0-3.5] a cat``)."""
    lines = [line for line in text.splitlines() if line.strip()]
    return bool(_CUE.search(text)) or (len(lines) > 1 and all(map(_TIMED.match, lines)))


def are_words_of(text: str, subtitles: str) -> bool:
    """Whether a text is what subtitles say, without their times."""
    lines = [line for line in subtitles.splitlines() if not _CUE.match(line) and not _NO_WORDS.match(line)]
    return bool(text.split()) and text.split() == " ".join(lines).split()


def are_settings(text: str) -> bool:
    """Whether a text holds what a program for pictures was asked for, as AUTOMATIC1111 and its kin write it: a prompt,
    one for what should not be seen, and settings."""
    return bool(_SETTINGS.search(text))


def fields_of_workflow(record: dict[str, Any]) -> tuple[str, ...]:
    """The texts in a workflow of ComfyUI, which may be of what should not be seen; empty for other records."""
    for before, nodes in (("prompt.", record.get("prompt")), ("", record)):
        if isinstance(nodes, dict) and any(isinstance(node, dict) and "class_type" in node for node in nodes.values()):
            inputs = {key: node.get("inputs") for key, node in nodes.items() if isinstance(node, dict)}
            return tuple(
                f"{before}{key}.inputs.{name}"
                for key, named in inputs.items()
                for name, value in (named.items() if isinstance(named, dict) else ())
                if is_prose(value, 2)
            )
    return ()


def are_spoken(record: dict[str, Any]) -> bool:
    """Whether a record is what was heard in a video, as programs for speech write it: segments with their times and
    texts, and with the whole text, or with what such programs say of each."""
    parts = record.get("segments", record.get("chunks"))
    if not isinstance(parts, list) or not all(
        isinstance(part, dict) and "text" in part and _WHEN & part.keys() for part in parts
    ):
        return False
    return isinstance(record.get("text"), str) or "word_segments" in record or are_spoken_parts(parts)


def are_spoken_parts(parts: Iterable[Record]) -> bool:
    """Whether records of parts are of what was said in them."""
    return any(not _OF_SPEECH.isdisjoint(part) for part in parts)
