"""What people say of clips, in tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from walt.captioning.corrections import Correction, clean_caption, corrected, read_corrections
from walt.core.errors import ConfigurationError
from walt.data.captions import Caption


def write(folder: Path, text: str | bytes, name: str = "mine.csv") -> Path:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def says(text: str, name: str = "") -> Correction:
    return Correction(text, name, "")


def test_rows_by_key(tmp_path: Path) -> None:
    write(tmp_path, '\ufeffkey,caption,name\r\nk1,"a cat, \n asleep",\r\nk1,long one,long\r\n')
    write(tmp_path, "caption,key\na dog,k2\n", "other.csv")
    found = read_corrections(tmp_path)
    assert {key: [(one.text, one.name) for one in rows] for key, rows in found.items()} == {
        "k1": [("a cat, asleep", ""), ("long one", "long")], "k2": [("a dog", "")],
    }  # fmt: skip
    assert read_corrections(tmp_path / "nowhere") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("key,text\na,b\n", r"mine\.csv: no column 'caption'"),
        ("", r"mine\.csv: no column 'key'"),
        ("key,caption\na\n", r"line 2: its fields do not fit the header"),
        ("key,caption\na,b,c\n", r"line 2: its fields do not fit the header"),
        ("key,caption\na, \t\n", r"line 2: an empty caption"),
        ("key,caption\n,b\n", r"line 2: no key"),
        ("key,caption\na,b\na,c\n", r"line 3: clip 'a' is corrected in .*mine\.csv, line 2 already"),
        ('key,caption\na,"b\n', r"mine\.csv: "),
        (b"key,caption\na,\xff\n", r"mine\.csv: not UTF-8"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as refused:
        read_corrections(write(tmp_path, text))
    assert "\n" not in str(refused.value)


def test_a_correction_replaces_what_it_names() -> None:
    own = (Caption("short", "a"), Caption("long", "b"))
    assert corrected(own, [says("c")]) == (Caption("short", "c"), Caption("long", "b"))
    assert corrected(own, [says("c", "long")]) == (Caption("short", "a"), Caption("long", "c"))
    assert corrected(own, [says("c", "dense")]) == (*own, Caption("dense", "c"))
    assert corrected((), [says("c")]) == (Caption("person", "c"),)
    assert corrected((), [says("c", "x")]) == (Caption("x", "c"),)
    assert corrected(own, []) == own


def test_captions_are_one_line_of_what_can_be_printed() -> None:
    assert clean_caption(" a\n\tred\x00 \u200bcat \r\n") == "a red cat"
    assert clean_caption("\n\x07") == ""
