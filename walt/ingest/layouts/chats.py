"""Recognises chats about videos, as tables for models that answer have them: LLaVA, Qwen-VL, ms-swift, LLaMA-Factory.

The answer of a chat is a caption where there is one question, which asks what the video shows. Other answers may be
captions or not, which nobody but the user can say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from walt.ingest.layouts import usual_names
from walt.ingest.layouts.peek import Peek
from walt.ingest.layouts.spans_of_tables import spans_inside
from walt.ingest.tables.cells import BadValue, Record, short
from walt.ingest.tables.fields import getter

_CHATS = ("messages", "conversations", "conversation")
_ASKED, _ANSWERED, _SET = frozenset(("human", "user")), frozenset(("gpt", "assistant", "model")), frozenset(("system",))
_FILES = ("video", "video_url.url", "image", "image_url.url", "path", "url")
"""Of a part of a message: where its file is."""
_OF_SERVICES = (
    "response.body.choices.0.message.content", "response.candidates.0.content.parts.0.text",
    "result.message.content.0.text",
)  # fmt: skip
"""Where the batch services of OpenAI, Google and Anthropic write an answer."""
_LISTS_OF_FILES = ("videos", "images")
_MARK = re.compile(r"<[\w|/ ]{1,32}>|\s+")
"""``<video>``, which stands in a question where the video is meant."""
_PICTURE = r"(?:\w+ ){0,2}(?:video|clip|film|footage|image|picture|photo|scene)"
_ASKS_WHAT_IS_SHOWN = re.compile(
    r"descri|caption|depict|summar|narrat|portray|what happens in|what do you see|what can be seen"
    r"|what(?: is|'s| is being) (?:happening|going on|shown)"
    rf"|(?:interpretation|explanation|account|contents?|elements|aspects|details) of the {_PICTURE}"
    rf"|(?:analy[sz]e|examine|illustrate) the {_PICTURE}"
    r"|描述|概括|说明|字幕",
    re.IGNORECASE,
)
"""Also the instructions of LLaVA for captions (Visual Instruction Tuning, tables 11 and 12)."""


class Chat(NamedTuple):
    """Where a table of chats has its files and captions, as ``walt.ingest.tables.fields`` names places."""

    path: str | None
    """None: in a column of its own."""
    caption: str
    span: tuple[str, ...]


def chat_of(seen: Peek) -> Chat | str | None:
    """How the first records of a table are read where each of them is a chat; a text: why they must not be read; None:
    they are none, or answers that the columns of texts (``walt.ingest.layouts.prose_columns``) name."""
    name = next((name for name in _CHATS if name in seen.columns and all(map(_chat_in(name), seen.records))), None)
    if name is None or not seen.records:
        return None
    chats = [getter(name)(record) for record in seen.records]
    path = path_of(seen, name)
    if isinstance(path, BadValue):
        return path.cause
    answers = dict.fromkeys(_answer(chat) for chat in chats)
    if None in answers or len(answers) > 1:
        example = next(filter(None, map(_last_text, chats)), "-1")
        said = f"chats with several answers, or answers without words: --caption-column {name}.{example} takes the last"
        return said if path else None
    [answer] = answers
    caption = f"{name}.{answer}"
    if other := next((asked for chat in chats if not _asks_what_is_shown(asked := _question(chat))), None):
        said = f"answers to questions such as {short(other)}, which may be captions: --caption-column {caption}"
        return said if path else None
    span = _span(seen.records, path) if path else ()
    if span is None:
        return f"{path} has a start or an end, of which no span in seconds can be made"
    return Chat(path, caption, span)


def answer_of_service(seen: Peek) -> str | None:
    """Where the records of a table have the answer of a service that was asked about each file; None: nowhere. What was
    asked is not in them."""
    for place in _OF_SERVICES:
        answers = [getter(place)(record) for record in seen.records]
        if any(answers) and all(answer is None or isinstance(answer, str) for answer in answers):
            return place
    return None


def path_of(seen: Peek, name: str | None = None) -> str | BadValue | None:
    """The place of the file that each chat is about, in its messages or in a list beside them; a BadValue: why there is
    none that holds for all. None: the files are in neither.

    Args:
        name: the column of the chats; None: that with one of the usual names.
    """
    name = name or next((usual for usual in _CHATS if usual in seen.columns), None)
    if name is None:
        return None
    places = [list(_files(getter(name)(record))) for record in seen.records]
    found = dict.fromkeys(place for of_chat in places for place in of_chat)
    if any(len(of_chat) > 1 for of_chat in places):
        return BadValue("chats about several files each: write a table with a row for each file and its caption")
    if len(found) > 1:
        shown = " and ".join(f"{name}.{place}" for place in list(found)[:2])
        return BadValue(f"the files are at {shown}: write a table with a column of them")
    if found:
        return f"{name}.{next(iter(found))}"
    for column in (column for column in _LISTS_OF_FILES if column in seen.columns):
        lists = [value for record in seen.records if (value := getter(column)(record))]
        if lists and all(isinstance(value, list) and isinstance(value[0], str) for value in lists):
            if any(len(value) > 1 for value in lists):
                return BadValue(f"several files in {column}: write a table with a row for each file and its caption")
            return f"{column}.0"
    return None


def _chat_in(name: str) -> Any:
    find = getter(name)
    return lambda record: _is_chat(find(record))


def _is_chat(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_role(message) for message in value)


def _role(message: Any) -> str:
    said = message.get("role", message.get("from")) if isinstance(message, dict) else None
    return said.lower() if isinstance(said, str) and said.lower() in _ASKED | _ANSWERED | _SET else ""


def _parts(message: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a message consists of, each with its place in it."""
    for field in ("content", "value"):
        content = message.get(field)
        if isinstance(content, list):
            yield from ((f"{field}.{number}", part) for number, part in enumerate(content))
        elif content is not None:
            yield field, content


def _files(chat: Any) -> Iterator[str]:
    """The places of the files in a chat; those of pictures only where there are no videos."""
    if not _is_chat(chat):
        return
    found = [
        f"{number}.{place}.{field}"
        for number, message in enumerate(chat)
        for place, part in _parts(message)
        if isinstance(part, dict)
        for field in _FILES
        if isinstance(getter(field)(part), str)
    ]
    videos = [place for place in found if "image" not in place]
    yield from videos or found


def _texts(message: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The texts of a message, each with its place in it."""
    for place, part in _parts(message):
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str) and text.strip():
            yield (f"{place}.text" if isinstance(part, dict) else place), text


def _answer(chat: Sequence[dict[str, Any]]) -> str | None:
    """The place of the only answer of a chat, which is its last message; None: there are several, or it has no text, or
    several."""
    roles = [_role(message) for message in chat]
    single = sum(role in _ASKED for role in roles) == 1 == sum(role in _ANSWERED for role in roles)
    texts = list(_texts(chat[-1]))
    return f"-1.{texts[0][0]}" if single and roles[-1] in _ANSWERED and len(texts) == 1 else None


def _last_text(chat: Sequence[dict[str, Any]]) -> str | None:
    return next((f"-1.{place}" for place, _ in _texts(chat[-1])), None)


def _question(chat: Iterable[dict[str, Any]]) -> str:
    texts = (text for message in chat if _role(message) in _ASKED for _, text in _texts(message))
    return _MARK.sub(" ", " ".join(texts)).strip()


def _asks_what_is_shown(question: str) -> bool:
    return not question or bool(_ASKS_WHAT_IS_SHOWN.search(question))


def _span(records: Sequence[Record], path: str) -> tuple[str, ...] | None:
    """Where the messages say which part of its file each chat is about; empty: they do not. None: in another way than
    by a start and an end in seconds."""
    place = path.rpartition(".")[0].removesuffix(".video_url")
    parts = [part for record in records if isinstance(part := getter(place)(record), dict)]
    fields = tuple(
        dict.fromkeys(
            field for part in parts for field, value in part.items() if value is not None and usual_names.is_end(field)
        )
    )
    if not fields:
        return ()
    names = spans_inside(parts, fields)
    return tuple(f"{place}.{name}" for name in names) or None
