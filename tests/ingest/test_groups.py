"""Groups of inputs that were cut from one recording: found by their names, and never on both sides of the split."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from walt.core.config import parse_section
from walt.core.errors import ConfigurationError
from walt.ingest.clip_tars import Source
from walt.ingest.config import Descriptor
from walt.ingest.describe_files import Given, describe_files
from walt.ingest.groups import PATTERNS, find_group_pattern
from walt.ingest.sources.items import Item
from walt.ingest.splits import assign_splits


def source(name: str, group: str | None, split: str | None = None, content: str | None = None) -> Source:
    item = Item(name, name, "video", (), False, None, split, None, True, 0.3, group)  # type: ignore[arg-type]
    return Source(item, hashlib.sha256((content or name).encode()).hexdigest(), num_clips=1, has_video=True)


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["a-Scene-001.mp4", "a-Scene-002.mp4", "b-Scene-001.mp4"], "scenes of one video"),
        (["Q_000001_000011.mp4", "Q_000011_000021.mp4", "R_000001_000011"], "spans of one video, by their seconds"),
        (["v_Yoyo_g01_c01.avi", "v_Yoyo_g01_c02.avi", "v_Yoyo_g02_c01.avi"], "UCF's groups"),
        (["--U0DxGT1yQ_0.mp4", "--U0DxGT1yQ_1.mp4", "abcdefghijk_0"], "numbered clips of one YouTube video"),
    ],
)  # fmt: skip
def test_the_usual_names_of_parts_of_a_recording_are_found(names: list[str], kind: str) -> None:
    assert find_group_pattern(names) == (PATTERNS[kind], kind)


@pytest.mark.parametrize(
    "names",
    [
        ["a-Scene-001.mp4", "a-Scene-002.mp4"],  # one group: nothing would be left to train on
        ["a-Scene-001.mp4", "b-Scene-001.mp4"],  # no group of several
        ["a-Scene-001.mp4", "a-Scene-002.mp4", "b.mp4", "c.mp4", "d.mp4"],
        ["video_1.mp4", "video_2.mp4"],
        [],
    ],
)
def test_names_without_groups_have_no_pattern(names: list[str]) -> None:
    assert find_group_pattern(names) is None


ROW = st.tuples(st.integers(0, 6), st.integers(0, 3), st.sampled_from([None, "train", "held_out"]))


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(ROW, min_size=8))
def test_a_group_is_on_one_side_whatever_the_order(rows: list[tuple[int, int, str | None]]) -> None:
    """Also through copies: bytes that are in two groups hold both together."""
    sources = [
        source(f"{number}.mp4", f"g{group}", split, f"{content}") for number, (group, content, split) in enumerate(rows)
    ]
    assign_splits(sources, sources)
    first = {found.item.source: found.split for found in sources}
    groups: dict[str | None, set[str]] = {}
    for found in sources:
        groups.setdefault(found.item.group, set()).add(found.split)
    assert all(len(sides) == 1 for sides in groups.values())
    random.Random(0).shuffle(sources)
    assign_splits(sources, sources)
    assert {found.item.source: found.split for found in sources} == first


def test_without_groups_the_bytes_decide_as_before() -> None:
    sources = [source(f"{number}.mp4", None) for number in range(200)]
    assign_splits(sources, sources)
    for found in sources:
        assert found.split == ("held_out" if int(found.sha256[-8:], 16) / 2**32 < 0.3 else "train")


def test_a_small_dataset_holds_out_a_whole_group_and_leaves_another() -> None:
    sources = [source(f"{group}{number}.mp4", group) for group in "ab" for number in range(2)]
    for found in sources:
        found.item = found.item._replace(held_out_share=1e-9)
    assign_splits(sources, sources)
    sides = {found.item.group: found.split for found in sources}
    assert sorted(sides.values()) == ["held_out", "train"]


def test_init_finds_groups_and_writes_the_pattern(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for name in ("a-Scene-001", "a-Scene-002", "b-Scene-001"):
        (tmp_path / f"d/{name}.mp4").write_bytes(name.encode())
    described = describe_files(tmp_path, Given("d"))
    assert described.descriptor.group_pattern == PATTERNS["scenes of one video"]
    assert [item.group for item in described.listing.items] == ["a", "a", "b"]
    assert "  scenes of one video are on one side of the split (group_pattern)" in list(described.lines())


@pytest.mark.parametrize(("pattern", "said"), [("(a", "not a regular expression"), ("a", r"has no group \(\.\.\.\)")])
def test_a_pattern_that_cannot_work_is_named(pattern: str, said: str) -> None:
    data = {
        "name": "x", "summary": "", "licence": "", "homepage": None, "source": {"kind": "folder", "patterns": ["*"]},
        "classes": None, "caption_required": False, "images": True, "held_out": 0.1, "group_pattern": pattern,
        "adherence": None, "generator": None,
    }  # fmt: skip
    with pytest.raises(ConfigurationError, match=said):
        parse_section(data, Descriptor, "d.yaml")
