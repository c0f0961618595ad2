"""What holds of ``ingest`` for any mixture of good, bad, repeated and renamed files."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.ingest_project import DESCRIPTOR, add, config, outputs
from tests.support.media import counter, write_video
from tests.support.places import Place, everywhere, ingest_at
from walt.core.errors import RejectLimitError
from walt.core.paths import Paths
from walt.data.manifest import read_manifest, read_rejects
from walt.stages import ingest

GOOD = {"video 0", "video 1", "video 2", "still 0", "still 1"}
SETTINGS: dict[str, Any] = {"reject_limit": 1.0, "clips_per_shard": 3, "sizes": ((16, 16),), "max_clips_per_video": 2}


@lru_cache(maxsize=1)
def contents() -> dict[str, bytes]:
    """Small files by what they are."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.mp4"
        found = {}
        for number in range(3):  # one clip, two clips, two clips
            frames = np.roll(counter(16 + 16 * (number > 0), 16, 24), number, axis=0)
            found[f"video {number}"] = write_video(path, frames, container={"movflags": "+faststart"}).read_bytes()
        found["short"] = write_video(path, counter(3, 16, 16)).read_bytes()
        found["tiny"] = write_video(path, counter(16, 8, 8)).read_bytes()
        found["cut"] = found["video 1"][: int(len(found["video 1"]) * 0.6)]
        for number in range(2):
            picture = Path(folder) / "x.png"
            Image.new("RGB", (20, 16), (90 * number, 200, 30)).save(picture)
            found[f"still {number}"] = picture.read_bytes()
    return found | {"empty": b"", "text": b"no video at all"}


NAMES = [f"{folder}{stem}" for folder in ("", "sub/", "ü '\n/") for stem in ("a", "b.v1", "b.v2", "-c")]
FILES = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(sorted(contents())), min_size=1, max_size=9)


@pytest.fixture(scope="module", autouse=True)
def _small_parts() -> Iterator[None]:
    """The manifest has a part for a few clips."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest, "MOST_PART_ROWS", 4)
        yield


def suffix(kind: str) -> str:
    return ".png" if kind.startswith("still") else ".mp4"


def project(root: Path, files: dict[str, str], order: list[str], uncaptioned: set[str]) -> Path:
    """(Re)make a dataset: contents by name, rows in an order, some without a caption."""
    (root / "datasets").mkdir(parents=True, exist_ok=True)
    (root / "datasets/test.yaml").write_text(DESCRIPTOR)
    shutil.rmtree(root / "videos", ignore_errors=True)
    (root / "videos").mkdir()
    for name, kind in files.items():
        path = root / "videos" / (name + suffix(kind))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents()[kind])
    add(root, {name + suffix(files[name]): "" if name in uncaptioned else f"a {name!r}" for name in order})
    return root


def run(root: Path) -> dict[str, Any] | None:
    """The figures; None where nothing was accepted."""
    try:
        return ingest_at(root, config(**SETTINGS))
    except RejectLimitError:
        return None


def clips(root: Path) -> dict[str, str]:
    return {name: digest for name, digest in outputs(root).items() if name.startswith("data/clips")}


EXAMPLES = {"local": 20, "s3-faults": 3}


@pytest.mark.slow
@everywhere
def test_every_input_is_used_once_and_names_order_and_history_do_not_matter(place: Place) -> None:
    @settings(max_examples=EXAMPLES[place.name], deadline=None)
    @given(files=FILES, data=st.data())
    def holds(files: dict[str, str], data: Any) -> None:
        whatever_the_mixture(place, files, data)

    holds()


def whatever_the_mixture(place: Place, files: dict[str, str], data: Any) -> None:
    """The last project of each is stored here, so that all are compared with one of this machine."""
    names = sorted(files)
    uncaptioned = set(data.draw(st.lists(st.sampled_from(names), unique=True, max_size=2), "uncaptioned"))
    listed = {name: kind for name, kind in files.items() if name not in uncaptioned}
    with TemporaryDirectory() as folder:
        root = place.settle(project(Path(folder) / "one", files, names, uncaptioned))
        figures = run(root)
        good = {hashlib.sha256(contents()[kind]).hexdigest() for kind in listed.values() if kind in GOOD}
        rejected = [row.source for row in read_rejects(Paths(root).rejects)]
        assert (figures is None) == (not good)
        if figures is None:
            assert sorted(rejected) == sorted(name + suffix(kind) for name, kind in files.items())
            return
        rows = read_manifest(Paths(root).manifest)
        accepted = {row.source for row in rows}
        assert figures["inputs"] == figures["accepted"] + figures["rejected"] == len(files)
        assert (figures["accepted"], figures["rejected"]) == (len(accepted), len(rejected))
        assert sorted([*accepted, *rejected]) == sorted(name + suffix(kind) for name, kind in files.items())
        assert {row.source_sha256 for row in rows} == good, "all that can be accepted is"
        assert len({row.key for row in rows}) == len(rows) == figures["clips"], "no id twice"

        before = outputs(root)
        again = run(root)
        assert again is not None
        assert (again["decoded_now"], again["gone"]) == (0, 0)
        assert outputs(root) == before, "a rerun adds nothing"

        order = data.draw(st.permutations(names), "order")
        other = place.settle(project(Path(folder) / "two", files, order, uncaptioned))
        first = data.draw(st.sets(st.sampled_from(names)), "there from the start")
        project(other, {name: files[name] for name in first}, [name for name in order if name in first], uncaptioned)
        run(other)
        project(other, files, order, uncaptioned)
        run(other)
        assert outputs(other) == before, "history leaves no trace"

        fresh = {f"{number:02d}": files[name] for number, name in enumerate(order)}
        renamed = {fresh_name for fresh_name, name in zip(fresh, order, strict=True) if name in uncaptioned}
        run(project(Path(folder) / "three", fresh, sorted(fresh), renamed))
        assert clips(Path(folder) / "three") == clips(root), "names decide nothing"
