"""One source of many changes: its tars of clips, latents and text are made again, and not a byte of the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support import ingest_project
from tests.support.ingest_project import untouched
from tests.support.media import counter, write_video
from tests.support.text_project import CONFIG as TEXT_CONFIG
from tests.support.text_project import run_encode_text
from tests.support.video_project import config as video_config
from tests.support.video_project import write_autoencoder
from walt.core.paths import Paths
from walt.data.shards import ShardReader
from walt.stages import encode_video


def encoded(root: Path) -> Paths:
    """Ingested and encoded, from what is there."""
    paths = Paths(root)
    ingest_project.run(root)
    run_encode_text(TEXT_CONFIG, paths)
    encode_video.run(video_config(), paths)
    return paths


def keys_of(paths: Paths) -> dict[tuple[str, str], tuple[str, ...]]:
    """By size and number of each tar the keys in it."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for folder in paths.clips.iterdir():
        for key in ShardReader(folder).keys if folder.is_dir() else ():
            place = (folder.name, ShardReader(folder).path(key).stem.partition("-")[2])
            found[place] = (*found.get(place, ()), key)
    return found


def change(root: Path) -> None:
    """Another video under a name that has been there, as long as before."""
    write_video(root / "videos/c.mp4", np.roll(counter(32, 32, 48), 20, axis=0))


def test_exactly_its_tars_are_made_again(tmp_path: Path) -> None:
    project, fresh = tmp_path / "project", tmp_path / "fresh"
    for root in (project, fresh):
        ingest_project.make_project(root)
        write_autoencoder(Paths(root))
    paths = encoded(project)
    keys, before = keys_of(paths), untouched(paths.root / "data")
    change(project)
    encoded(project)
    same = {name for name, own in keys_of(paths).items() if keys.get(name) == own}
    assert len(same) >= 3, "clips of other sources"
    assert keys.keys() - same, "those of the source itself"
    for kind in ("clips", "latents"):
        there = {path: stat for path, stat in untouched(paths.root / "data" / kind).items() if path.suffix == ".tar"}
        alone = [path for path in there if there[path] == before.get(path)]
        assert {(path.parent.name, path.stem.partition("-")[2]) for path in alone} == same, kind
    texts = {path: stat for path, stat in untouched(paths.text).items() if path.suffix == ".tar"}
    assert texts.items() <= before.items(), "its caption is the same"

    change(fresh)
    encoded(fresh)
    assert ingest_project.outputs(project) == ingest_project.outputs(fresh)
