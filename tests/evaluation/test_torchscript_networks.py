"""Networks from TorchScript files: the files are checked before they are opened, and clips before any work."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.support.pretrained import FakeI3D, NeedsTenFrames
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.paths import Paths
from walt.evaluation.config import NetworkFile, NetworkName
from walt.evaluation.extractors import check_extractor
from walt.evaluation.named_networks import make_extractor


def i3d(path: Path, sha256: str | None = None) -> dict[NetworkName, NetworkFile]:
    return {"i3d": NetworkFile(path=str(path), sha256=sha256 or sha256_file(path))}


def test_i3d_is_checked_before_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "i3d.pt"
    torch.jit.save(torch.jit.script(FakeI3D()), str(path))
    extractor = make_extractor("i3d", i3d(path), Paths(tmp_path))
    video = torch.rand(2, 3, 10, 8, 8)
    assert torch.equal(extractor(video), video.flatten(1)[:, :400])
    assert extractor.digest == sha256_file(path)
    with pytest.raises(CorruptArtifactError, match="sha256"):
        make_extractor("i3d", i3d(path, "0" * 64), Paths(tmp_path))
    with pytest.raises(ConfigurationError, match="no file"):
        make_extractor("i3d", i3d(tmp_path / "absent.pt", "0" * 64), Paths(tmp_path))
    with pytest.raises(ConfigurationError, match=r"evaluate\.networks\.i3d is needed, with path and sha256"):
        make_extractor("i3d", {}, Paths(tmp_path))


class GivesAPair(torch.nn.Module):
    def forward(self, x: Tensor, rescale: bool, resize: bool, return_features: bool) -> tuple[Tensor, Tensor]:
        return x, x


def test_a_file_of_something_else_is_refused_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "i3d.pt"
    for content in ({"weight": torch.zeros(2)}, None):
        path.write_text("no network at all") if content is None else torch.save(content, path)
        with pytest.raises(
            ConfigurationError, match=r"^evaluate\.networks\.i3d\.path: .* is not TorchScript: "
        ) as refused:
            make_extractor("i3d", i3d(path), Paths(tmp_path))
        assert "\n" not in str(refused.value)
    torch.jit.save(torch.jit.script(GivesAPair()), str(path))
    extractor = make_extractor("i3d", i3d(path), Paths(tmp_path))
    with pytest.raises(ConfigurationError, match="it gives tuple and not a tensor"):
        check_extractor(extractor, "i3d", 10, (8, 8))


def test_clips_that_are_too_short_are_found_at_once(tmp_path: Path) -> None:
    path = tmp_path / "i3d.pt"
    torch.jit.save(torch.jit.script(NeedsTenFrames()), str(path))
    extractor = make_extractor("i3d", i3d(path), Paths(tmp_path))
    check_extractor(extractor, "i3d", 10, (32, 32))
    with pytest.raises(ConfigurationError) as caught:
        check_extractor(extractor, "i3d", 9, (32, 48))
    said = str(caught.value)
    assert said.startswith("evaluate: i3d cannot measure clips of 9 frames of 32x48: ")
    assert "Kernel size: (10 x 1 x 1)" in said
    assert "\n" not in said
