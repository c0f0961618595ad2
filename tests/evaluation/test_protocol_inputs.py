"""What a protocol evaluates with is opened and tried for all that it will be asked, before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.evaluated_project import write_recordings
from tests.support.evaluation_networks import C3D, Inception, NotC3D, write_clip
from tests.support.pretrained import NeedsTenFrames
from tests.support.settings import changed, recipe
from tests.support.tiny_clips import NUM_FRAMES, ROWS, SIZES, write_clips
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.evaluation import protocol, protocol_inputs
from walt.evaluation.config import WITHOUT_FILES, EvaluateConfig, NetworkName
from walt.evaluation.extractors import Classifier
from walt.evaluation.named_networks import make_extractor
from walt.evaluation.protocol import WITH_CLASSES, label, load_protocol
from walt.evaluation.protocol_inputs import open_extractors, open_statistics, wanted_clips


def file_of(folder: Path, name: str, network: nn.Module) -> dict[str, str]:
    path = folder / f"{name}.pt"
    torch.jit.save(torch.jit.script(network), str(path))
    return {"path": str(path), "sha256": sha256_file(path)}


def clip_of(folder: Path, *without: str) -> dict[str, str]:
    """A CLIP with its tokenizer, or without some of its files."""
    folder.mkdir()
    weights = write_clip(folder)
    for name in without:
        (folder / name).unlink()
    return {"path": str(folder), "sha256": sha256_file(weights)}


def statistics_of(folder: Path, features: int) -> dict[str, str]:
    path = folder / "statistics.npz"
    np.savez(path, mu=np.zeros(features), sigma=np.eye(features))
    return {"path": str(path), "sha256": sha256_file(path)}


def config(protocol: str, **networks: dict[str, str]) -> EvaluateConfig:
    return changed(recipe("demo").evaluate, protocol=protocol, networks=networks)


def opened(config: EvaluateConfig, folder: Path, frames: int = 17) -> dict[NetworkName, Any]:
    return dict(open_extractors(config, Paths(folder), frames, (32, 32), "cpu"))


def keys_of(config: EvaluateConfig, paths: Paths) -> list[str]:
    return [clip.key for clip in wanted_clips(config, paths, SIZES[0], NUM_FRAMES)]


def test_fewer_real_clips_are_drawn_whatever_the_order_of_the_tables(tmp_path: Path) -> None:
    """Sorted by recording, the first ones would be of a single one."""
    paths, turned = Paths(tmp_path / "sorted"), Paths(tmp_path / "turned")
    recordings = {"v0": "a", "v1": "a", "v2": "a", "v4": "b"}
    for one, rows in ((paths, ROWS), (turned, ROWS[::-1])):
        write_clips(one.clips, rows)
        write_recordings(one, recordings)
    found = {count: keys_of(changed(recipe("demo").evaluate, real_clips=count), paths) for count in (3, 4, 5)}
    assert found[3][0] == "v3", "held out"
    assert {recordings[key] for key in found[3][1:]} == {"a", "b"}, "one of each before a second one of any"
    assert found[3] == found[4][:3]
    assert found[4] == found[5][:4]
    assert sorted(found[5]) == ["v0", "v1", "v2", "v3", "v4"]
    assert keys_of(changed(recipe("demo").evaluate, real_clips=3), turned) == found[3]


def test_another_draw_is_another_protocol(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    demo, asked = load_protocol("demo"), recipe("demo").evaluate
    write_clips(Paths(tmp_path).clips)
    write_recordings(Paths(tmp_path))
    before, drawn = label(asked, []), set[tuple[str, ...]]()
    for seed in range(8):
        real = demo.real.model_copy(update={"draw_seed": seed})
        other = demo.model_copy(update={"real": real})
        for module in (protocol_inputs, protocol):
            monkeypatch.setattr(module, "load_protocol", lambda _, other=other: other)
        assert (label(asked, []) == before) == (seed == demo.real.draw_seed)
        drawn.add((*keys_of(changed(asked, real_clips=3), Paths(tmp_path)),))
    assert len(drawn) > 2


def test_those_of_the_protocol_are_opened(tmp_path: Path) -> None:
    networks = {"i3d": file_of(tmp_path, "i3d", NeedsTenFrames()), "c3d": file_of(tmp_path, "c3d", C3D())}
    assert list(opened(config("ucf101_class", **networks), tmp_path)) == ["i3d", "c3d"]


def test_networks_have_classes_where_a_protocol_may_ask_for_them(tmp_path: Path) -> None:
    """What is known of a name before its file is opened is what the opened network can do."""
    made: dict[NetworkName, Callable[[], dict[str, str]]] = {
        "i3d": lambda: file_of(tmp_path, "i3d", NeedsTenFrames()), "c3d": lambda: file_of(tmp_path, "c3d", C3D()),
        "inception": lambda: file_of(tmp_path, "inception", Inception()), "clip": lambda: clip_of(tmp_path / "clip"),
    }  # fmt: skip
    networks = changed(recipe("demo").evaluate, networks={name: file() for name, file in made.items()}).networks
    names: list[NetworkName] = [*WITHOUT_FILES, *made]
    with_classes = {name for name in names if isinstance(make_extractor(name, networks, Paths(tmp_path)), Classifier)}
    assert with_classes == set(WITH_CLASSES)


def test_frames_that_are_given_are_not_counted(tmp_path: Path) -> None:
    asked = config("kinetics600_frames", i3d=file_of(tmp_path, "i3d", NeedsTenFrames()))
    opened(asked, tmp_path, frames=15)
    with pytest.raises(ConfigurationError, match="i3d cannot measure clips of 9 frames of 32x32"):
        opened(asked, tmp_path, frames=14)


def test_classes_that_cannot_be_told_are_found_on_zeros(tmp_path: Path) -> None:
    networks = {"i3d": file_of(tmp_path, "i3d", NeedsTenFrames()), "c3d": file_of(tmp_path, "c3d", NotC3D())}
    with pytest.raises(ConfigurationError, match=r"^evaluate: c3d cannot measure .*: it gives no probabilities"):
        opened(config("ucf101_class", **networks), tmp_path)


@pytest.mark.slow
def test_texts_that_cannot_be_read_are_found_at_once(tmp_path: Path) -> None:
    """Without its files transformers makes a tokenizer to which all words are the same."""
    i3d = file_of(tmp_path, "i3d", NeedsTenFrames())
    for number, without in enumerate(((), ("tokenizer.json",), ("vocab.json", "merges.txt"))):
        clip = clip_of(tmp_path / f"{number}", *without)
        found = opened(config("msrvtt_text", i3d=i3d, clip=clip), tmp_path)["clip"]
        assert found.similarity(torch.zeros(3, 1, 16, 16), "a") != found.similarity(torch.zeros(3, 1, 16, 16), "m")
    mute = clip_of(tmp_path / "mute", "tokenizer.json", "merges.txt")
    with pytest.raises(ConfigurationError, match=r"^evaluate\.networks\.clip\.path: no tokenizer in '.*mute'"):
        opened(config("msrvtt_text", i3d=i3d, clip=mute), tmp_path)


@pytest.mark.slow
def test_statistics_of_another_network_are_found_at_once(tmp_path: Path) -> None:
    inception = file_of(tmp_path, "inception", Inception())
    asked = config("imagenet_50k", inception=inception)
    extractors = opened(asked, tmp_path, frames=1)
    assert open_statistics(asked, Paths(tmp_path), extractors) == {}, "they are taken to the clips then"
    fit = changed(asked, statistics={"inception": statistics_of(tmp_path, 2048)})
    assert list(open_statistics(fit, Paths(tmp_path), extractors)) == ["inception"]
    other = changed(asked, statistics={"inception": statistics_of(tmp_path, 400)})
    with pytest.raises(ConfigurationError, match=r"^evaluate\.statistics\.inception is of 400 features, .* has 2048$"):
        open_statistics(other, Paths(tmp_path), extractors)
