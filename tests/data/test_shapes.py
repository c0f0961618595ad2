"""The generated dataset: its clips show what their captions say, and come out the same."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.support.settings import compute_settings
from walt.core.errors import ConfigurationError
from walt.data.shapes import BACKGROUNDS, COLOURS, DIRECTIONS, SHAPES, Scene, caption, draw, parse_caption, prompts
from walt.ingest.shapes_files import generate
from walt.ingest.sources.kinds import ShapesGenerator
from walt.media.images import decode_png
from walt.media.mp4 import decode_clip
from walt.media.video import probe

CONFIG = ShapesGenerator(kind="shapes", videos=24, images=6, size=32, num_frames=17, fps=8, seed=0)
COMPUTE, INLINE = compute_settings(workers=2, backend="process"), compute_settings(workers=1)


def centre(picture: np.ndarray, scene: Scene) -> np.ndarray:
    """(y, x) of the pixels that are nearer to the shape's colour than to the background's."""
    colour, background = np.array(COLOURS[scene.colour]), np.array(BACKGROUNDS[scene.background])
    near = np.abs(picture - colour).sum(-1) < np.abs(picture - background).sum(-1)
    return np.argwhere(near).mean(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "shapes"
    assert "24 clips" in generate(CONFIG, path, COMPUTE)
    return path


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "captions.csv").open(newline="")))


def test_videos_move_as_their_captions_say(folder: Path) -> None:
    checked = 0
    for row in rows(folder):
        scene = parse_caption(row["caption"])
        assert scene is not None
        if not scene.direction:
            continue
        clip = decode_clip((folder / row["path"]).read_bytes()).astype(int)
        places = np.stack([centre(frame, scene) for frame in clip])
        step = np.diff(places, axis=0)
        forward = step @ np.array(DIRECTIONS[scene.direction])
        sideways = step @ np.array(DIRECTIONS[scene.direction])[::-1]
        assert forward.min() > 0, row
        assert abs(forward[:8].mean() - forward[8:].mean()) < 0.2, "the speed is constant"
        assert np.abs(sideways.sum()) < 0.5
        assert np.linalg.norm(places[-1] - places[0]) > 0.3 * CONFIG.size, "a good part of the frame"
        edges = np.concatenate([clip[:, 0], clip[:, -1], clip[:, :, 0], clip[:, :, -1]], axis=1)
        assert np.abs(edges - np.array(BACKGROUNDS[scene.background])).max() < 80, "the shape stays inside"
        checked += 1
    assert checked == 24


def test_stills_show_their_colour(folder: Path) -> None:
    stills = [row for row in rows(folder) if row["path"].endswith(".png")]
    assert len(stills) == 6
    for row in stills:
        scene = parse_caption(row["caption"])
        assert scene is not None
        assert scene.direction is None
        picture = decode_png((folder / row["path"]).read_bytes()).astype(int)
        y, x = centre(picture, scene).round().astype(int)
        assert picture[y, x].tolist() == list(COLOURS[scene.colour])


def test_files_are_what_the_descriptor_says(folder: Path) -> None:
    info = probe(folder / "videos/00000.mp4")
    assert (info.codec, info.pixel_format, info.num_frames, info.average_fps) == ("h264", "yuv420p", 17, 8)


@pytest.mark.slow
def test_a_finished_folder_is_left_alone_and_a_broken_one_completed(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    times = {path: path.stat().st_mtime_ns for path in before}
    assert "already" in generate(CONFIG, folder, INLINE)
    assert times == {path: path.stat().st_mtime_ns for path in before}
    for lost in (("videos/00003.mp4", "captions.csv"), ("videos/00003.mp4",), ("captions.csv",)):
        for name in lost:
            (folder / name).unlink()
        assert "made" in generate(CONFIG, folder, INLINE)
        assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_number_of_workers_changes_nothing(folder: Path, tmp_path: Path) -> None:
    generate(CONFIG, tmp_path / "again", INLINE)
    for path in folder.rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(folder)).read_bytes()


def test_other_settings_replace_what_was_generated(tmp_path: Path) -> None:
    small = CONFIG.model_copy(update={"videos": 3, "images": 1})
    generate(small, tmp_path / "a", INLINE)
    generate(small.model_copy(update={"videos": 1, "seed": 5}), tmp_path / "a", INLINE)
    assert sorted(path.name for path in (tmp_path / "a").rglob("*.*") if path.suffix != ".json") == [
        "00000.mp4", "00000.png", "captions.csv",
    ]  # fmt: skip


def test_a_users_files_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "holiday.mp4").write_bytes(b"precious")
    with pytest.raises(ConfigurationError, match=str(tmp_path)):
        generate(CONFIG, tmp_path, COMPUTE)
    assert (tmp_path / "holiday.mp4").read_bytes() == b"precious"


def test_captions_parse_back_and_are_short() -> None:
    for text in prompts(288, seed=3):
        scene = parse_caption(text)
        assert scene is not None
        assert caption(scene) == text
        assert len(text.split()) <= 9
    for text in (
        "",
        "a red circle",
        "a pink circle moving left on a black background",
        "A red circle on a black background.",
    ):
        assert parse_caption(text) is None


def test_prompts_are_balanced() -> None:
    scenes = [scene for text in prompts(288, seed=0) if (scene := parse_caption(text))]
    for name, values in {
        "colour": COLOURS,
        "direction": DIRECTIONS,
        "shape": SHAPES,
        "background": BACKGROUNDS,
    }.items():
        counts = Counter(getattr(scene, name) for scene in scenes)
        assert set(counts.values()) == {288 // len(values)}, name
    assert len(set(scenes)) == 288, "all combinations"
    few = [scene for text in prompts(24, seed=0) if (scene := parse_caption(text))]
    assert len({(scene.colour, scene.direction) for scene in few}) == 24
    assert prompts(10, seed=0) == prompts(24, seed=0)[:10]
    assert prompts(10, seed=0) != prompts(10, seed=1)


def test_colours_are_far_apart() -> None:
    everything = list(COLOURS.values()) + list(BACKGROUNDS.values())
    for index, one in enumerate(COLOURS.values()):
        for other in everything[index + 1 :]:
            assert np.abs(np.subtract(one, other)).max() > 100


def test_edges_are_soft() -> None:
    clip = draw(Scene("circle", "white", "black", "right"), 32, 5, np.random.default_rng(0))
    assert len(np.unique(clip)) > 10
