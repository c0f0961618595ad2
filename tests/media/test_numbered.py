"""Which pictures of a folder are the frames of a video, and in which order."""

from __future__ import annotations

import random

import pytest

from walt.media.images import SourceError
from walt.media.numbered import in_order, numbered


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("0001.png", ("", 1, ".png")),
        ("frame_12.JPG", ("frame_", 12, ".jpg")),
        ("a1b2.webp", ("a1b", 2, ".webp")),
        ("v1.2.3.png", ("v1.2.", 3, ".png")),
        ("cover.png", None),
        (".1.png", None),
        ("1.txt", None),
        ("1.mp4", None),
        ("1" * 19 + ".png", None),
    ],
)
def test_the_number_is_before_the_suffix(name: str, found: tuple[str, int, str] | None) -> None:
    frame = numbered(name)
    assert (None if frame is None else (frame.begin, frame.number, frame.suffix)) == found


def test_two_is_before_ten_and_other_files_do_not_matter() -> None:
    wanted = [f"{number}.png" for number in range(2, 120)]
    names = [*wanted, "notes.txt", "audio.wav", ".0.png"]
    random.Random(0).shuffle(names)
    assert in_order(names) == wanted


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ([], "no_frames"),
        (["a.png"], "no_frames"),
        (["1.png", "3.png"], "missing_frame"),
        (["1.png", "01.png"], "repeated_frame"),
        (["1.png", "a.png"], "mixed_frames"),
        (["1.png", "2.jpg"], "mixed_frames"),
        (["a1.png", "b2.png"], "mixed_frames"),
    ],
)
def test_what_is_no_sequence_has_its_code(names: list[str], code: str) -> None:
    with pytest.raises(SourceError) as caught:
        in_order(names)
    assert caught.value.code == code
