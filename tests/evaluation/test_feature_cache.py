"""Features of stored clips are computed once, and again where anything that they depend on has changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support.evaluated_project import Tracked, config, write_project
from tests.support.tiny_clips import SIZES, write_clips
from walt.core.storage import read_json
from walt.data.clip_dataset import ClipDataset
from walt.evaluation.clip_sets import RealClip, measure_clips, measure_stored_clips, real_clips
from walt.evaluation.feature_cache import FeatureCache
from walt.evaluation.random_network import RandomNetwork
from walt.stages import evaluate


class Counting(RandomNetwork):
    """Counts the clips that it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, clips: Tensor) -> Tensor:
        self.seen += len(clips)
        return super().forward(clips)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[RealClip]:
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder)
    return list(real_clips(folder, SIZES[1], 5))


def test_a_second_time_nothing_is_decoded_or_seen(
    clips: list[RealClip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, cache = Counting(), FeatureCache(tmp_path, "a")
    first = measure_stored_clips(clips, network, cache)
    assert network.seen == len(clips)
    assert np.array_equal(first[0], measure_clips(clips, RandomNetwork())[0])
    assert first[1] == measure_clips(clips, RandomNetwork())[1]
    with monkeypatch.context() as patch:
        patch.setattr(ClipDataset, "clip", lambda *_: pytest.fail("decoded"))
        second = measure_stored_clips(clips, network, cache)
    assert network.seen == len(clips)
    assert np.array_equal(first[0], second[0])
    assert first[1] == second[1]


def test_only_what_changed_is_computed_again(clips: list[RealClip], tmp_path: Path) -> None:
    network, cache = Counting(), FeatureCache(tmp_path, "a")
    measure_stored_clips(clips[1:], network, cache)
    found = measure_stored_clips(clips, network, cache)
    assert network.seen == len(clips)
    assert np.array_equal(found[0], measure_clips(clips, RandomNetwork())[0])
    measure_stored_clips(clips, network, FeatureCache(tmp_path, "another extractor"))
    assert network.seen == 2 * len(clips)


def test_a_damaged_file_is_as_none(clips: list[RealClip], tmp_path: Path) -> None:
    network, cache = Counting(), FeatureCache(tmp_path, "a")
    first = measure_stored_clips(clips, network, cache)
    path = tmp_path / "a.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), b""):
        path.write_bytes(damaged)
        network.seen = 0
        assert np.array_equal(measure_stored_clips(clips, network, cache)[0], first[0])
        assert network.seen == len(clips)
        assert path.read_bytes() == whole


def test_old_files_go(tmp_path: Path) -> None:
    for number in range(12):
        FeatureCache(tmp_path, f"{number:02d}").write({"content": (torch.zeros(3), "pixels")})
    assert len(list(tmp_path.iterdir())) == 8
    assert FeatureCache(tmp_path, "11").read().keys() == {"content"}


@pytest.mark.slow
def test_a_second_evaluation_gives_the_same_without_its_clips_being_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "start_run", lambda *_, **__: Tracked())
    paths = write_project(tmp_path)
    evaluate.run(config(), paths)
    first = read_json(paths.evaluation)
    monkeypatch.setattr(RealClip, "__call__", lambda *_: pytest.fail("decoded"))
    evaluate.run(config(), paths)
    assert read_json(paths.evaluation) == first
