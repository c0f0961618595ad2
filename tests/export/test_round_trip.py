"""What is exported comes back: ``walt init`` on an export finds the same clips, captions and splits."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.support.export_project import FACTS
from tests.support.ingest_project import make_project, run
from walt.core.paths import Paths
from walt.data.manifest import read_manifest
from walt.export.run import Request, export
from walt.ingest.describe_files import Given, describe_files
from walt.ingest.sources.locations import hash_location


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of which one video has three captions."""
    root = tmp_path_factory.mktemp("project")
    make_project(root)
    with open(root / "videos/captions.csv", "a", encoding="utf-8") as table:
        table.write('"a.mp4","a second caption of a"\n"a.mp4","a third, with a comma"\n')
    run(root)
    return root


@pytest.mark.parametrize("layout", ["webdataset", "videofolder", "energon"])
def test_init_gives_back_clips_captions_and_splits(root: Path, tmp_path: Path, layout: str) -> None:
    paths = Paths(root)
    export(Request(tmp_path / "out", layout), FACTS, paths)
    described = describe_files(tmp_path, Given("out"))
    assert not described.choice.may_lose_captions
    assert described.listing.refusals == []
    rows = {row.key: row for row in read_manifest(paths.manifest)}
    found = {re.findall("[0-9a-f]{32}", item.source)[-1]: item for item in described.listing.items}
    assert found.keys() == rows.keys()
    for key, item in found.items():
        row = rows[key]
        assert [caption.text for caption in item.captions] == [caption.text for caption in row.captions]
        assert (item.kind, item.split) == (row.kind, row.split)
        assert hash_location(item.path) == row.sha256, "the same bytes as they are stored in the largest size"
    assert Counter(len(item.captions) for item in found.values())[3] > 0
