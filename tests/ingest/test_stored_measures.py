"""A measure that is added later is taken of the stored clips: no source is read, and history makes no difference."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from tests.support.media import counter, write_video
from tests.support.package_copy import copy_package, edit
from tests.support.places import digests
from tests.support.screening import SCREEN_OFF
from tests.support.settings import compute_settings
from tests.support.traced_files import files_run
from walt.core.errors import CorruptArtifactError
from walt.core.paths import Paths
from walt.data.manifest import read_clip_rejects, read_manifest
from walt.ingest import clip_filters, stored_measures
from walt.ingest.clip_cache import ClipEntry
from walt.ingest.clip_filters import Measure, Rule, TakeOfStored
from walt.ingest.config import DatasetConfig, IngestConfig, ScreenConfig
from walt.ingest.stored_measures import StoredClip, take_all, take_identity
from walt.media.images import Clip, png_bytes
from walt.media.mp4 import encode_clip
from walt.media.shots import thumbnails
from walt.stages import ingest

DESCRIPTOR = """
{name: test, summary: A test., licence: CC0-1.0, homepage: null, source: {kind: folder, patterns: ["**/*"]},
 classes: null, caption_required: false, images: true, held_out: 0.5, adherence: null, generator: null}
"""
SETTINGS: dict[str, Any] = {
    "num_frames": 5, "fps": 8.0, "sizes": ((32, 32), (16, 24)), "buckets": (), "upscale": "allow", "max_crop": None,
    "max_clips_per_video": 4, "stride_seconds": None, "screen": SCREEN_OFF, "filter": {}, "crf": 8,
    "clips_per_shard": 4,    "max_caption_characters": 40, "min_side": 16, "max_pixels": 1_000_000, "max_seconds": 60.0,
    "timeout_seconds": 30.0, "memory_mb": 4096, "reject_limit": 0.9, "output": None,
}  # fmt: skip
BRIGHTEST = 255.0


def top_brightness(thumbs: Clip) -> float | None:
    return share_of_brightest(thumbs[:, : len(thumbs[0]) // 2])


def share_of_brightest(part: Clip) -> float:
    return float(np.mean(part)) / BRIGHTEST


def change_of_ends(thumbs: Clip) -> float | None:
    """None for an image."""
    if len(thumbs) == 1:
        return None
    return float(np.mean(thumbs[-1])) - float(np.mean(thumbs[0]))


def refuse_bright(clip: ClipEntry, config: ScreenConfig) -> str | None:
    value = clip.stored_measures["top_brightness"]
    assert value is not None
    return f"its upper half has {value:.2f} of the brightest level" if value > 0.3 else None


def register(monkeypatch: pytest.MonkeyPatch, *takes: TakeOfStored, rules: tuple[Rule, ...] = ()) -> None:
    added = tuple(Measure(str(take.__name__), "grey levels", "A test's.", of_stored=take) for take in takes)  # type: ignore[attr-defined]
    monkeypatch.setattr(clip_filters, "MEASURES", (*BUILT_IN, *added))
    monkeypatch.setattr(clip_filters, "RULES", (*clip_filters.RULES, *rules))


BUILT_IN = clip_filters.MEASURES


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with three videos of two clips each, and a still."""
    return make(tmp_path / "project")


def make(root: Path) -> Path:
    (root / "datasets").mkdir(parents=True)
    (root / "datasets/test.yaml").write_text(DESCRIPTOR)
    (root / "videos").mkdir()
    for number in range(3):
        write_video(root / f"videos/{number}.mp4", np.roll(counter(32, 32, 48), 8 * number, axis=0))
    Image.new("RGB", (40, 30), (10, 200, 30)).save(root / "videos/still.png")
    return root


def run(root: Path, workers: int = 1, backend: str = "inline") -> dict[str, Any]:
    config = ingest.Config(
        dataset=DatasetConfig(descriptor="datasets/test.yaml", path="videos"),
        ingest=IngestConfig(**SETTINGS),
        compute=compute_settings(workers=workers, backend=backend),
    )
    return ingest.run(config, Paths(root))


def measured(root: Path, name: str) -> list[Any]:
    return [row.measures[name] for row in read_manifest(Paths(root).manifest)]


def test_a_new_measure_decodes_no_source(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(root)
    clips = digests(root / "data/clips")
    register(monkeypatch, top_brightness, change_of_ends)
    fresh = make(tmp_path / "fresh")
    run(fresh)
    opened: list[Any] = []
    real_open = av.open

    def noting(file: Any, *arguments: Any, **options: Any) -> Any:
        opened.append(file)
        return real_open(file, *arguments, **options)

    def cut(*_: Any) -> None:
        raise AssertionError("a source was cut again")

    monkeypatch.setattr("av.open", noting)
    monkeypatch.setattr("walt.ingest.clip_cache.cut", cut)
    assert run(root)["decoded_now"] == 0
    assert len(opened) == 6
    assert all(isinstance(file, io.BytesIO) for file in opened), "stored clips, and no source"
    assert digests(root / "data/clips") == clips, "the tars are what they were"
    assert [*read_manifest(Paths(root).manifest)[0].measures][-2:] == ["top_brightness", "change_of_ends"]
    assert measured(root, "change_of_ends").count(None) == 1, "the still's"
    assert digests(fresh / "data") == digests(root / "data"), "history makes no difference"


def test_only_missing_and_changed_measures_are_computed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[list[str]] = []
    real = stored_measures.take_all

    def noting(job: Any) -> Any:
        if own := sorted({*job[0]} & {"top_brightness", "change_of_ends"}):  # and not what the package has
            taken.append(own)
        return real(job)

    monkeypatch.setattr(stored_measures, "take_all", noting)
    register(monkeypatch, top_brightness)
    run(root)
    assert taken == [["top_brightness"]] * 4
    before = measured(root, "top_brightness")
    taken.clear()
    run(root)
    assert taken == [], "a rerun measures nothing"
    register(monkeypatch, top_brightness, change_of_ends)
    run(root)
    assert taken == [["change_of_ends"]] * 4
    taken.clear()
    monkeypatch.setattr(f"{__name__}.BRIGHTEST", 510.0)
    run(root)
    assert taken == [["top_brightness"]] * 4
    assert measured(root, "top_brightness") == pytest.approx([value / 2 for value in before])


@pytest.mark.slow
def test_workers_measure_what_one_process_does(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, top_brightness)
    run(root, workers=2, backend="process")
    other = make(tmp_path / "other")
    run(other)
    assert digests(root / "data") == digests(other / "data")


@pytest.mark.parametrize("damage", [lambda data: data[:-3], lambda data: b"", lambda data: b"\xff" + data[1:]])
def test_an_incomplete_file_of_measures_is_computed_again(
    root: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[bytes], bytes]
) -> None:
    register(monkeypatch, top_brightness)
    run(root)
    before = digests(root / "data")
    files = sorted((root / "work/ingest/sources").rglob("*.measured"))
    assert len(files) == 4
    whole = files[0].read_bytes()
    files[0].write_bytes(damage(whole))
    run(root)
    assert files[0].read_bytes() == whole
    assert digests(root / "data") == before


def test_damaged_clips_are_cut_and_measured_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(root)
    cached = max((root / "work/ingest/sources").rglob("*.video"), key=lambda path: path.name)
    data = cached.read_bytes()
    cached.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    register(monkeypatch, top_brightness)
    monkeypatch.setattr(stored_measures, "_area", lambda member: (-member.size[0], member.size))  # the last bytes
    with pytest.raises(CorruptArtifactError, match="damaged, and removed; run again"):
        run(root)
    assert run(root)["decoded_now"] == 1
    assert None not in measured(root, "top_brightness")


def test_measures_of_removed_sources_are_removed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, top_brightness)
    run(root)
    (root / "videos/0.mp4").unlink()
    run(root)
    names = {path.name for path in (root / "work/ingest/sources").rglob("*") if path.is_file()}
    assert len(names) == 6
    assert {name for name in names if not name.endswith(".measured")} == {
        name.removesuffix(".measured") for name in names if name.endswith(".measured")
    }


def test_its_rule_refuses_clips_by_its_code(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, top_brightness, rules=(Rule("too_bright", refuse_bright),))
    figures = run(root)
    refused = read_clip_rejects(Paths(root).clip_rejects)
    assert figures["clip_rejects"] == {"too_bright": len(refused)}
    assert refused
    for row in refused:
        assert row.code == "too_bright"
        assert isinstance(row.measures["top_brightness"], float)
        assert row.measures["top_brightness"] > 0.3
        assert row.cause == f"its upper half has {row.measures['top_brightness']:.2f} of the brightest level"
    assert all(value <= 0.3 for value in measured(root, "top_brightness"))


# ------------------------------------------------------------------------------------------------ identity of the code


def with_default(thumbs: Clip, level: float = 1.0) -> float | None:
    return level


LEVELS = [1.0]


def with_list(thumbs: Clip) -> float | None:
    return LEVELS[0]


def uses_a_module(thumbs: Clip) -> float | None:
    return float(len(shutil.__name__))


def imports_late(thumbs: Clip) -> float | None:
    from walt.media.fingerprints import perceptual_hash

    return float(len(perceptual_hash(thumbs[0])))


def uses_a_helper(thumbs: Clip) -> float | None:
    return float(len(thumbnails(thumbs)))


@pytest.mark.parametrize(
    ("take", "message"),
    [
        (with_default, "neither defaults"),
        (with_list, "refers to LEVELS"),
        (imports_late, "imports nothing itself"),
    ],
)
def test_a_measure_whose_code_has_no_digest_is_refused(take: TakeOfStored, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        take_identity(take)


def test_a_helper_belongs_to_the_code_of_a_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    before = take_identity(top_brightness)
    assert take_identity(uses_a_module) != before
    other: FunctionType = change_of_ends  # type: ignore[assignment]
    monkeypatch.setattr(f"{__name__}.share_of_brightest", other)
    assert take_identity(top_brightness) != before


def test_what_a_helpers_module_imports_belongs_to_the_code_of_a_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = take_identity(uses_a_helper)
    folder = copy_package(tmp_path, monkeypatch)
    assert take_identity(uses_a_helper) == before, "the same code in another place"
    edit(folder, "walt/media/images.py")
    assert take_identity(uses_a_helper) != before
    plain = take_identity(change_of_ends)
    edit(folder, "walt/media/images.py")
    assert take_identity(change_of_ends) == plain, "it uses nothing of the package"


def test_the_code_of_thumbnails_is_part_of_every_identity() -> None:
    frames = counter(5, 48, 64)
    clips = [StoredClip("mp4", encode_clip(frames, 8, 8)), StoredClip("png", png_bytes(frames[0]))]
    found: dict[str, Any] = {}
    on_the_way = files_run(lambda: found.update(take_all(({"change_of_ends": change_of_ends}, clips))))
    covered = {Path(file).relative_to(Path(__file__).parents[2]).as_posix() for file in stored_measures._FILES}
    assert on_the_way <= covered
    assert found["change_of_ends"][1] is None
    assert found["change_of_ends"][0] == pytest.approx(change_of_ends(thumbnails(frames)), abs=1.0)
