"""Learned networks: the loading path, with small random ones of the same interface."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import CLIPImageProcessor, CLIPTokenizer

from tests.support.evaluation_networks import C3D, AlmostC3D, Inception, NotC3D, script, write_clip, write_videomae
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.paths import Paths
from walt.evaluation.config import NetworkFile, NetworkName
from walt.evaluation.extractors import Classifier, Extractor, check_extractor, classes_of, features_of
from walt.evaluation.named_networks import make_extractor
from walt.evaluation.pretrained_folders import CLIPFeatures
from walt.evaluation.set_figures import read_statistics

NETWORKS: dict[NetworkName, tuple[Callable[[Path], Path], int]] = {
    "videomae": (write_videomae, 9), "clip": (write_clip, 9), "c3d": (script(C3D()), 9),
    "inception": (script(Inception()), 1),
}  # fmt: skip


def opened(name: NetworkName, folder: Path, write: Callable[[Path], Path] | None = None) -> Extractor:
    file = (write or NETWORKS[name][0])(folder)
    path = file if file.suffix == ".pt" else file.parent
    return make_extractor(name, {name: NetworkFile(path=str(path), sha256=sha256_file(file))}, Paths(folder))


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_opened_and_sees_clips(name: NetworkName, tmp_path: Path) -> None:
    extractor, frames = opened(name, tmp_path), NETWORKS[name][1]
    check_extractor(extractor, name, frames, (24, 32))
    clips = torch.rand(2, 3, frames, 24, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    features = [features_of(extractor, clip) for clip in clips]
    assert not torch.equal(*features)
    assert torch.equal(features_of(extractor, clips[0]), features[0])
    assert not any(weight.requires_grad for weight in extractor.parameters() if name in ("clip", "videomae"))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_wrong_digest_is_refused_and_a_missing_file_is_named(name: NetworkName, tmp_path: Path) -> None:
    file = NETWORKS[name][0](tmp_path)
    given = NetworkFile(path=str(file if file.suffix == ".pt" else file.parent), sha256="0" * 64)
    with pytest.raises(CorruptArtifactError, match=rf"its sha256 is not evaluate\.networks\.{name}\.sha256"):
        make_extractor(name, {name: given}, Paths(tmp_path))
    absent = NetworkFile(path="absent", sha256="0" * 64)
    with pytest.raises(ConfigurationError, match=rf"evaluate\.networks\.{name}\.path: no "):
        make_extractor(name, {name: absent}, Paths(tmp_path))


@pytest.mark.slow
def test_a_folder_of_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^evaluate\.networks\.clip\.path: no "):
        opened("clip", tmp_path, write_videomae)


@pytest.mark.parametrize(("name", "frames"), [("videomae", 3), ("inception", 2)])
def test_clips_that_it_cannot_take_are_found_on_zeros(name: NetworkName, frames: int, tmp_path: Path) -> None:
    extractor = opened(name, tmp_path)
    with pytest.raises(
        ConfigurationError, match=f"^evaluate: {name} cannot measure clips of {frames} frames of 24x32: it "
    ):
        check_extractor(extractor, name, frames, (24, 32))


def test_a_network_that_gives_no_probabilities_is_no_c3d(tmp_path: Path) -> None:
    for network in (NotC3D(), AlmostC3D()):
        extractor = opened("c3d", tmp_path, script(network))
        with pytest.raises(ConfigurationError, match="it gives no probabilities of classes"):
            check_extractor(extractor, "c3d", 9, (24, 32))


def test_pixels_become_the_nearest_bytes(tmp_path: Path) -> None:
    """As they are in a file; a byte less would be a darker picture."""
    extractor = opened("inception", tmp_path)
    grey = torch.arange(256.0)
    clip = ((grey - 0.3 * (grey % 2)) / 127.5 - 1).expand(3, 1, 9, -1)  # every second one a third of a level too dark
    exact = (grey / 127.5 - 1).expand(3, 1, 9, -1)
    assert isinstance(extractor, Classifier)
    assert torch.equal(classes_of(extractor, clip), classes_of(extractor, exact))


@pytest.mark.parametrize(("name", "classes"), [("c3d", 101), ("inception", 1008)])
def test_classes_are_logarithms_of_probabilities(name: NetworkName, classes: int, tmp_path: Path) -> None:
    extractor, clip = opened(name, tmp_path), torch.zeros(3, NETWORKS[name][1], 24, 32)
    assert isinstance(extractor, Classifier)
    found = classes_of(extractor, clip)
    assert found.shape == (classes,)
    assert float(found.exp().sum()) == pytest.approx(1.0)


def test_videomae_sees_frames_evenly_over_the_clip_in_their_order(tmp_path: Path) -> None:
    extractor = opened("videomae", tmp_path)
    clip = torch.rand(3, 10, 16, 16) * 2 - 1
    assert torch.equal(features_of(extractor, clip), features_of(extractor, clip[:, [0, 3, 6, 9]]))
    assert not torch.equal(features_of(extractor, clip), features_of(extractor, clip.flip(1)))


def test_pixels_are_normalised_as_the_folder_says(tmp_path: Path) -> None:
    clip = torch.rand(3, 4, 16, 16) * 2 - 1
    before = opened("videomae", tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.5] * 3}))
    after = opened("videomae", tmp_path)
    assert not torch.equal(features_of(before, clip), features_of(after, clip))
    assert before.digest != after.digest
    frames = clip.transpose(0, 1)
    expected = after.network(frames[None]).last_hidden_state.mean(1)[0]
    torch.testing.assert_close(features_of(after, clip), expected)


def test_a_preprocessor_of_other_pictures_is_refused(tmp_path: Path) -> None:
    write_clip(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": 0.5}))
    with pytest.raises(
        ConfigurationError, match=r"^evaluate\.networks\.clip\.path: image_mean .* is not of 3 channels"
    ):
        opened("clip", tmp_path, lambda folder: folder / "model.safetensors")


@pytest.mark.parametrize("size", [(12, 20), (40, 24), (16, 33)])
def test_frames_are_brought_to_it_as_its_own_processor_does_it(size: tuple[int, int], tmp_path: Path) -> None:
    """Of bytes, which a processor rounds to between; the middle of a wide or high frame."""
    write_clip(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}, "resample": 3})
    )
    extractor = opened("clip", tmp_path, lambda folder: folder / "model.safetensors")
    assert isinstance(extractor, CLIPFeatures)
    waves = np.mgrid[: size[0], : size[1]].sum(0)[..., None] / 3 + np.array([0.0, 2.0, 4.0])
    picture = (127 + 90 * np.sin(waves)).astype(np.uint8)
    expected = CLIPImageProcessor.from_pretrained(tmp_path)(Image.fromarray(picture), return_tensors="pt")
    clip = torch.from_numpy(picture).permute(2, 0, 1)[None, :, None] / 127.5 - 1
    torch.testing.assert_close(extractor._frames(clip), expected["pixel_values"], atol=0.02, rtol=0)


def test_frames_are_squashed_where_the_folder_has_its_processor_do_so(tmp_path: Path) -> None:
    write_clip(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_center_crop": False}))
    extractor = opened("clip", tmp_path, lambda folder: folder / "model.safetensors")
    assert isinstance(extractor, CLIPFeatures)
    wide = torch.zeros(1, 3, 1, 16, 64)
    wide[..., :8] = 1.0  # what a middle would not show
    seen = extractor._frames(wide)
    assert seen.shape == (1, 3, 16, 16)
    assert float(seen[..., 0].min()) > float(seen[..., -1].max())


def test_the_similarity_is_the_mean_cosine_of_frames_and_text(tmp_path: Path) -> None:
    extractor = opened("clip", tmp_path)
    assert isinstance(extractor, CLIPFeatures)
    clip = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    texts = ["a b c", "m l k", "a b c d e f g h i j k l m a b c d e"]
    network = extractor.network
    frames = (clip.transpose(0, 1) + 1) / 2
    images = network.get_image_features((frames - extractor.mean) / extractor.std).pooler_output
    for text in texts:
        tokens = CLIPTokenizer.from_pretrained(tmp_path)(text, return_tensors="pt", truncation=True, max_length=8)
        of_text = network.get_text_features(**tokens).pooler_output
        expected = float(nn.functional.cosine_similarity(images, of_text).mean())
        assert extractor.similarity(clip, text) == pytest.approx(expected, abs=1e-5)
    assert len({extractor.similarity(clip, text) for text in texts}) == 3


def test_reference_statistics(tmp_path: Path) -> None:
    file = tmp_path / "reference.npz"
    np.savez(file, mu=np.zeros(3), sigma=np.eye(3))
    found = read_statistics(file, sha256_file(file), "inception")
    assert (found.mean.shape, found.covariance.shape) == ((3,), (3, 3))
    with pytest.raises(CorruptArtifactError, match="sha256"):
        read_statistics(file, "0" * 64, "inception")
    for arrays in (
        {"mu": np.zeros(3)},
        {"mu": np.zeros(3), "sigma": np.eye(2)},
        {"mu": np.array([{}]), "sigma": np.eye(1)},
    ):
        np.savez(file, **arrays)
        with pytest.raises(ConfigurationError, match=r"^evaluate\.statistics\.inception"):
            read_statistics(file, sha256_file(file), "inception")
    for content in (b"", b"PK\x05\x06 cut short", (np.arange(3), np.eye(3))[0]):
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            with file.open("wb") as stream:
                np.save(stream, content)
        with pytest.raises(ConfigurationError, match=r"^evaluate\.statistics\.inception: .* is not an \.npz"):
            read_statistics(file, sha256_file(file), "inception")
    np.savez(file, mu=np.array([0.0, np.nan]), sigma=np.eye(2))
    with pytest.raises(ConfigurationError, match=r"^evaluate\.statistics\.inception: .* not finite"):
        read_statistics(file, sha256_file(file), "inception")
    with pytest.raises(ConfigurationError, match="no file"):
        read_statistics(tmp_path / "absent.npz", "0" * 64, "inception")
