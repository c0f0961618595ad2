"""What ``walt inspect`` says of groups and of columns that the user brings."""

from __future__ import annotations

from walt.commands.inspect import figures
from walt.commands.inspect.figure_tables import tables
from walt.data.manifest import ManifestRow
from walt.ingest.sources.items import Item


def item(name: str, group: str | None) -> Item:
    return Item(name, name, "video", (), False, None, group=group)


def row(number: int, source: str, group: str | None, mood: str | None) -> ManifestRow:
    return ManifestRow(
        key=f"{number:032x}", kind="video", split="train", source=source, source_sha256=source, start_seconds=0.0,
        end_seconds=1.0, num_frames=9, captions=(), caption_truncated=False, label=None, shard=0, sha256="0",
        group=group, measures={"phash": "0" * 48, "mood": mood, "score": float(number)},
    )  # fmt: skip


def test_groups_of_the_listed_inputs_are_counted_with_the_largest_first() -> None:
    items = [item("1", "a"), item("2", "b"), item("3", "b"), item("4", None), item("5", "\udcff")]
    assert figures.listed(items, []).figures["groups"] == {
        "groups": 3, "without": 1, "largest": [("b", 2), ("\\xff", 1), ("a", 1)],
    }  # fmt: skip
    assert figures.listed([item("1", None)], []).figures["groups"] is None


def test_groups_after_ingest_count_inputs_and_texts_count_clips() -> None:
    rows = [row(0, "x", "a", "calm"), row(1, "x", "a", "calm"), row(2, "y", "a", "wild"), row(3, "z", "b", None)]
    made = figures.ingested(rows, {}).figures
    assert made["groups"] == {"groups": 2, "without": 0, "largest": [("a", 2), ("b", 1)]}
    assert made["texts"] == {"mood": {"clips": 3, "distinct": 2, "largest": [("calm", 2), ("wild", 1)]}}
    assert made["measures"]["score"]["max"] == 3.0
    document = {
        "ingested": made, "listed": None, "headers": None, "members": None, "rejects": {}, "clip_rejects": {},
        "encoded": None,
    }  # fmt: skip
    found = {table.title: list(table.rows) for table in tables(document)}
    assert found["2 groups"] == [("a", "2"), ("b", "1")]
    assert found["mood: 2 different texts"] == [("calm", "2"), ("wild", "1")]


def test_groups_beyond_the_largest_are_counted() -> None:
    found = figures.listed([item(f"{number}", f"{number:02d}") for number in range(12)], []).figures["groups"]
    assert found is not None
    assert (found["groups"], len(found["largest"])) == (12, 10)
