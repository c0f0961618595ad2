"""Cutting a file, or spans of it, into clips by the rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.ingest_project import SETTINGS
from tests.support.media import counter, read_counter, write_video
from tests.support.settings import changed, recipe
from walt.ingest.clip_rule import ClipRule, cut
from walt.media.images import SourceError


def rule(**changes: Any) -> ClipRule:
    return ClipRule.from_config(changed(recipe().ingest, **{**SETTINGS, **changes}), stills=True)


def test_the_limit_on_seconds_is_for_the_span_and_not_for_the_film_around_it(tmp_path: Path) -> None:
    path, short = write_video(tmp_path / "a.mkv", counter(48)), rule(max_seconds=1.0)
    (clip,) = cut(short, path, "video", (1.0, 1.8))[1]
    assert read_counter(clip.frames[32, 32]) == [24, 27, 30, 33, 36]
    for span, cause in ((None, "2 seconds, more than 1"), ((0.5, 1.7), "a span of 1.2 seconds, more than 1")):
        with pytest.raises(SourceError, match=cause) as caught:
            cut(short, path, "video", span)
        assert caught.value.code == "too_long"
