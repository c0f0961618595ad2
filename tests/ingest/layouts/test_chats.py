"""Tables of chats about videos, as they are written for models that answer: an answer is a caption where the question
asks what is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.support.layout_folder import TWO, V
from tests.support.miniatures import describe, lines, refusals
from walt.ingest.describe_files import Described
from walt.ingest.layouts.tables import TableColumns

ASKED = "Describe this video."


def qwen(file: str, answer: Any, asked: str = ASKED, **part: Any) -> dict[str, Any]:
    """A row as Qwen-VL has it."""
    said = [{"type": "video", "video": file, "fps": 2.0, **part}, {"type": "text", "text": asked}]
    return {"messages": [{"role": "user", "content": said}, {"role": "assistant", "content": answer}]}


def llava(file: str, answer: str, asked: str = f"<video>\n{ASKED}") -> dict[str, Any]:
    """A row as LLaVA, and Qwen-VL's finetuning, have it."""
    return {"video": file, "conversations": [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}]}


def swift(file: str, answer: str, asked: str = f"<video>{ASKED}") -> dict[str, Any]:
    """A row as ms-swift and LLaMA-Factory have it."""
    system = {"role": "system", "content": "You are a helpful assistant."}
    chat = [system, {"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return {"messages": chat, "videos": [file]}


def texts(text: str) -> list[dict[str, str]]:
    """A message of one text."""
    return [{"type": "text", "text": text}]


def captions(described: Described) -> dict[str, str | None]:
    """The caption of each input."""
    return {item.source: item.caption for item in described.listing.items}


ROWS = {
    "Qwen-VL": [qwen("a.mp4", texts("a cat")), qwen("b.mp4", texts("a dog"))],
    "Qwen-VL, the answer as a text": [qwen("a.mp4", "a cat"), qwen("b.mp4", "a dog")],
    "Qwen-VL, file:// of another machine": [
        qwen(f"file:///data/{name}", texts(text)) for name, text in (("a.mp4", "a cat"), ("b.mp4", "a dog"))
    ],
    "LLaVA": [llava("a.mp4", "a cat"), llava("b.mp4", "a dog", "<image>\nWhat is happening in the clip?")],
    "LLaVA, without a question": [llava("a.mp4", "a cat", "<video>\n"), llava("b.mp4", "a dog", "<video>")],
    "ms-swift": [swift("a.mp4", "a cat"), swift("b.mp4", "a dog")],
    "OpenAI's parts": [
        {"messages": [
            {"role": "user", "content": [{"type": "video_url", "video_url": {"url": name}}, *texts(ASKED)]},
            {"role": "assistant", "content": text},
        ]}
        for name, text in (("a.mp4", "a cat"), ("b.mp4", "a dog"))
    ],
}  # fmt: skip


MIXED = ("Qwen-VL, the answer as a text", "OpenAI's parts")
"""Their messages are texts and lists, which Parquet does not hold in one column."""


@pytest.mark.parametrize(
    ("form", "name"),
    [
        (form, name)
        for form in ROWS
        for name in ("t.jsonl", "t.json", "t.parquet")
        if name != "t.parquet" or form not in MIXED
    ],
)
def test_the_answer_to_a_question_what_is_shown_is_the_caption(form: str, name: str, tmp_path: Path) -> None:
    rows = ROWS[form]
    table: Any = lines(*rows) if name == "t.jsonl" else rows if name == "t.json" else pa.Table.from_pylist(rows)
    described = describe(tmp_path, {**TWO, name: table})
    assert {Path(item.path).name: item.caption for item in described.listing.items} == {
        "a.mp4": "a cat", "b.mp4": "a dog",
    }  # fmt: skip
    assert refusals(described) == {}
    assert not described.choice.may_lose_captions, described.lines()
    assert any("captions are the answers of chats, " in line for line in described.lines())


def test_a_chat_about_a_part_of_a_video(tmp_path: Path) -> None:
    rows = [
        qwen("a.mp4", texts("a cat"), video_start=0.5, video_end=2.0),
        qwen("a.mp4", texts("two cats"), video_start=2.0, video_end=3.0),
    ]
    described = describe(tmp_path, {"a.mp4": V, "t.jsonl": lines(*rows)})
    assert captions(described) == {"a.mp4#t=0.5,2": "a cat", "a.mp4#t=2,3": "two cats"}


ODD = {
    "several answers": (
        [{"messages": [*qwen("a.mp4", "a cat")["messages"], *swift("a.mp4", "yes")["messages"][1:]]}],
        "chats with several answers, or answers without words: --caption-column messages.-1.content takes the last",
    ),
    "a question about something else": (
        [qwen("a.mp4", texts("It is red."), "Which colour is the cat?")],
        "answers to questions such as 'Which colour is the cat?', which may be captions: "
        "--caption-column messages.-1.content.0.text",
    ),
    "the same, in a list of files": (
        [swift("a.mp4", "It is red.", "<video>Which colour is the cat?")], "--caption-column messages.-1.content",
    ),
    "several videos": (
        [{"messages": [
            {"role": "user", "content": [{"type": "video", "video": name} for name in TWO]},
            {"role": "assistant", "content": "a cat, and a dog"},
        ]}],
        "chats about several files each: write a table with a row for each file and its caption",
    ),
    "several videos in a list": (
        [{**swift("a.mp4", "a cat, and a dog"), "videos": [*TWO]}],
        "several files in videos: write a table with a row for each file and its caption",
    ),
    "two places": (
        [
            qwen("a.mp4", texts("a cat")),
            {"messages": [{"role": "system", "content": "?"}, *qwen("b.mp4", "a dog")["messages"]]},
        ],
        "the files are at messages.0.content.0.video and messages.1.content.0.video: write a table",
    ),
    "a part without an end": (
        [qwen("a.mp4", texts("a cat"), video_start=0.5)],
        "messages.0.content.0.video has a start or an end, of which no span in seconds can be made",
    ),
    "files that are not here": (
        [qwen("x/y.mp4", texts("a cat"))],
        "the files that its column 'messages.0.content.0.video' names are not here, such as 'x/y.mp4'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_what_is_not_read_is_said_with_its_cause(odd: str, tmp_path: Path) -> None:
    rows, said = ODD[odd]
    described = describe(tmp_path, {**TWO, "t.json": rows})
    assert described.choice.may_lose_captions
    assert any(said in line for line in described.lines()), described.lines()


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (qwen("a.mp4", texts("It is red."), "Which colour is it?"), "messages.-1.content.0.text"),
        (swift("a.mp4", "It is red.", "Which colour is it?"), "messages.-1.content"),
        (llava("a.mp4", "It is red.", "Which colour is it?"), "conversations.-1.value"),
    ],
)
def test_the_column_that_is_named_reads_it(row: dict[str, Any], column: str, tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, "t.json": [row]})
    assert any(column in line for line in described.lines()), described.lines()
    named = describe(tmp_path, {}, columns=TableColumns(captions=(column,)))
    assert captions(named)["a.mp4"] == "It is red."


@pytest.mark.parametrize(
    "asked",
    [  # of LLaVA's instructions for captions those without the word "describe" or "description"
        "Offer a succinct explanation of the picture presented.", "Summarize the visual content of the image.",
        "Give a short and clear explanation of the subsequent image.",
        "Share a concise interpretation of the image provided.",
        "Relay a brief, clear account of the picture shown.", "Write a terse but informative summary of the picture.",
        "Create a compact narrative representing the image presented.",
        "Explain the various aspects of the image before you",
        "Clarify the contents of the displayed image with great detail",
        "Break down the elements of the image in a detailed manner", "Walk through the important details of the image",
        "Narrate the contents of the image with precision", "Analyze the image in a comprehensive and detailed manner",
        "Examine the image closely and share its details", "Write an exhaustive depiction of the given image",
        "What is happening in this video?", "请描述这个视频。",
    ],
)  # fmt: skip
def test_questions_what_is_shown(asked: str, tmp_path: Path) -> None:
    described = describe(tmp_path, {"a.mp4": V, "t.json": [llava("a.mp4", "a cat", f"<image>\n{asked}")]})
    assert captions(described) == {"a.mp4": "a cat"}


@pytest.mark.parametrize(
    "asked",
    [
        "What is the colour of the cat?", "How many people are there in the video?", "Why does the man laugh?",
        "Is the video about sports? Answer yes or no.", "Which of these is right? A. red B. blue", "Where is the cup?",
        "What are the contents of the box?", "At what time does the man enter the room?",
        "What is the object shown in the video?", "What is the person seen holding?",
    ],
)  # fmt: skip
def test_questions_about_something_else(asked: str, tmp_path: Path) -> None:
    described = describe(tmp_path, {"a.mp4": V, "t.json": [llava("a.mp4", "a red cat", asked)]})
    assert captions(described) == {"a.mp4": None}
    assert described.choice.may_lose_captions


OF_SERVICES = {
    "OpenAI": ("custom_id", "response.body.choices.0.message.content", lambda text: {
        "response": {"status_code": 200, "body": {
            "object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", "content": text}}],
        }}, "error": None,
    }),
    "Google": ("key", "response.candidates.0.content.parts.0.text", lambda text: {
        "response": {"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}}]},
    }),
    "Anthropic": ("custom_id", "result.message.content.0.text", lambda text: {
        "result": {"type": "succeeded", "message": {"role": "assistant", "content": [{"type": "text", "text": text}]}},
    }),
}  # fmt: skip


@pytest.mark.parametrize("service", OF_SERVICES)
def test_answers_of_services_are_named_with_their_place(service: str, tmp_path: Path) -> None:
    """The file's name is what the user gave each request; what was asked is not in the answers."""
    key, column, answer = OF_SERVICES[service]
    texts = {"a.mp4": "a cat jumps over a dog", "b.mp4": "a dog sleeps in the sun"}
    table = lines(*({"id": "batch_1", key: name, **answer(text)} for name, text in texts.items()))
    described = describe(tmp_path, {**TWO, "out.jsonl": table})
    assert described.choice.may_lose_captions
    said = f"out.jsonl: answers of a service, which may be captions: --caption-column {column}"
    assert any(said in line for line in described.lines()), described.lines()
    assert captions(describe(tmp_path, {}, columns=TableColumns(captions=(column,)))) == texts
