"""Texts with a path per line beside texts with a caption per line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.layout_folder import Files, V
from tests.support.miniatures import IN_VIDEOS, describe, refusals
from walt.core.errors import ConfigurationError

FIRST_FRAMES: Files = {
    **IN_VIDEOS, "images/a.png": V, "images/b.png": V, "prompts.txt": "a cat\na dog\n",
    "videos.txt": "videos/a.mp4\nvideos/b.mp4\n", "images.txt": "images/a.png\nimages/b.png\n",
}  # fmt: skip


@pytest.mark.parametrize("captions", [None, "videos.txt", "prompts.txt"])
def test_pictures_of_videos_beside_them_are_their_first_frames(tmp_path: Path, captions: str | None) -> None:
    """As trainers of videos from a picture have them: they are no inputs, and a line says so."""
    described = describe(tmp_path, FIRST_FRAMES, captions=captions)
    assert {item.source: item.caption for item in described.listing.items} == {
        "videos/a.mp4": "a cat", "videos/b.mp4": "a dog",
    }  # fmt: skip
    assert not refusals(described)
    assert sum("images.txt: a picture for each video" in line for line in described.lines()) == 1


def test_the_pictures_can_be_chosen(tmp_path: Path) -> None:
    described = describe(tmp_path, FIRST_FRAMES, captions="images.txt")
    assert {item.source: item.caption for item in described.listing.items} == {
        "images/a.png": "a cat", "images/b.png": "a dog",
    }  # fmt: skip
    assert not refusals(described)
    assert any("not read: videos.txt: beside what was named" in line for line in described.lines())


def test_a_video_that_no_line_names_is_still_said(tmp_path: Path) -> None:
    described = describe(tmp_path, {**FIRST_FRAMES, "videos/c.mp4": V})
    assert refusals(described)["videos/c.mp4"] == "no_caption"


def test_pictures_with_captions_of_their_own_are_not_dropped(tmp_path: Path) -> None:
    files = {f"stills/{name.rpartition('/')[2]}": text for name, text in FIRST_FRAMES.items() if "videos" not in name}
    files |= {"stills/prompts.txt": "a cow\na pig\n", "stills/images.txt": "a.png\nb.png\n"}
    videos = {name: text for name, text in FIRST_FRAMES.items() if "images" not in name}
    with pytest.raises(ConfigurationError, match=r"stills/images\.txt and videos\.txt both name files and captions"):
        describe(tmp_path, {**videos, **files})
