"""JSON lines as hypothesis draws them: mostly plain rows of one form, and among them whatever a table may hold."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

PLAIN = {"path": "a.mp4", "caption": "a cat", "start": 0.5, "end": 2.0, "score": 0.1, "split": "train", "extra": "x"}
"""A row of the usual form; more files than these two are named by odd rows only."""
PATHS = ("a.mp4", "b.mp4", "c/d.mp4", "e.png", "./a.mp4", "absent.mp4", "../out.mp4", "https://x.org/a.mp4?k=1", "")
ODD_VALUES: tuple[Any, ...] = (
    None, "", " ", "7", "a\u00e9\U0001f600", "a\0b", "\ud83d", "2020-01-01", "2020-01-01T10:00:00Z", "0:00:03",
    "x" * 70, True, 0, 3, -1, 2**53 + 1, 2**63, 10**400, 1.0, 1.5, 0.1234567, -0.5, 1e308, [], ["a", None],
    ["a", ["b", "a"]], [0.5, 1], {}, {"k": 1}, {"k": [{"k": None}]}, [[[[]]]],
)  # fmt: skip
ODD_TOKENS = (
    "NaN", "-NaN", "Infinity", "-Infinity", "Inf", "-Inf", "1e400", "-0", "-0.0", "0.0", "1E5", "01", "1.", ".5", "+1",
    "1_0", r'"\ud800"', r'"\udc00x"', r'"\ud83d\ude00"', r'"\u0000"', r'"\q"', '"a\tb"', '{"k":1,"k":2}', "tru", "'a'",
    "[1,]", "", "[" * 120 + "]" * 120, '"x, Inf, y"', '"[[[{{{"', "/* c */ 1",
)  # fmt: skip
"""What stands where a value should, as it stands in the file."""
ODD_LINES = (
    b"", b" ", b"{", b"}", b"[1]", b"3", b"{}", b'{"path":"a.mp4"}{"path":"b.mp4"}', b'{"path":', b'"a.mp4"}', b"\x00",
    b"\xef\xbb\xbf{}", b'{"path":"a\xff.mp4","caption":"x"}', b'{"\xff":1}', b' {"path":"a.mp4"}', b'{"path":"a.mp4"} ',
    b'{"path":"a.mp4"}\r', b'{"path":"a.mp4","p\\u0061th":"b.mp4"}', b'{"extra":1,"extra":1}', b'{"path":"a.mp4"},',
)  # fmt: skip
CAPTIONS = ("a dog", " a dog ", "a cat", "\u00e9", "\U0001f600!", "line\nline", "Inf, {[", "x" * 70, "")


def _written(record: dict[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=len(record) % 2 == 0).encode("utf-8", "surrogatepass")


@st.composite
def _changed(draw: st.DrawFn) -> bytes:
    """A row with one odd value."""
    name = draw(st.sampled_from((*PLAIN, "new", "a.b", "$key")))
    if draw(st.booleans()):
        return _written(PLAIN | {name: draw(st.sampled_from((*ODD_VALUES, *PATHS)))})
    token = draw(st.sampled_from(ODD_TOKENS))
    return _written(PLAIN | {name: "TOKEN"}).replace(b'"TOKEN"', token.encode())


@st.composite
def _usual(draw: st.DrawFn) -> bytes:
    """A row of the usual form with its own values; keys may be left out."""
    start = draw(st.sampled_from((0, 1, 2.5, 0.1234567, 1e-7, 3.0004, 2**60)))
    values = {
        "path": draw(st.sampled_from(PATHS)), "caption": draw(st.sampled_from(CAPTIONS)), "start": start,
        "end": start + draw(st.sampled_from((1, 0.5, 0, -1))), "score": draw(st.floats(allow_nan=False)),
        "split": draw(st.sampled_from(("train", "val", ""))),
    }  # fmt: skip
    left_out = draw(st.sampled_from((None, None, None, *PLAIN)))
    return _written({name: value for name, value in (PLAIN | values).items() if name != left_out})


LINES = st.one_of(_usual(), _usual(), _usual(), _changed(), st.sampled_from(ODD_LINES))


@st.composite
def json_lines_files(draw: st.DrawFn) -> bytes:
    """A file that begins with rows of the usual form."""
    plain = [_written(PLAIN | {"path": "b.mp4", "start": float(number), "end": number + 1.0}) for number in range(2)]
    lines = draw(st.one_of(st.lists(_usual(), max_size=12), st.lists(LINES, max_size=12)))
    end = draw(st.sampled_from((b"\n", b"\n", b"\r\n")))
    return end.join([*plain, *lines]) + draw(st.sampled_from((b"", end)))
