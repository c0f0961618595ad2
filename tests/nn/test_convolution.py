"""Edges that are repeated, and convolutions of some columns at a time."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from walt.nn import convolution
from walt.nn.causal import CausalConv3d, Stream
from walt.nn.convolution import EdgePad, convolve_padded

AMX = pytest.mark.skipif(not convolution._has_amx(), reason="this processor has no AMX")


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.slow
@pytest.mark.parametrize(
    "padding", [(2, 1, 1, 1, 1), (0, 1, 2, 1, 2), (2, 0, 0, 0, 0), (0, 0, 0, 0, 0), (0, 1, 0, 0, 3)]
)
def test_edge_padding_is_torchs_replicate(padding: tuple[int, int, int, int, int]) -> None:
    x = drawn(2, 3, 4, 5, 6).requires_grad_()
    front, top, bottom, left, right = padding
    expected = F.pad(x, (left, right, top, bottom, front, 0), mode="replicate")
    assert torch.equal(EdgePad.apply(x, padding), expected)
    assert torch.autograd.gradcheck(lambda x: EdgePad.apply(x, padding), x)


def test_the_edges_of_one_cell_are_that_cell() -> None:
    padded = EdgePad.apply(torch.tensor([[1.0, 2.0]]).reshape(1, 1, 1, 1, 2), (1, 1, 0, 2, 1))
    assert padded.tolist() == [[[[[1, 1, 1, 2, 2]] * 2] * 2]]


@pytest.mark.parametrize(
    ("kernel", "stride", "sides"),
    [(3, 1, (1, 1)), (3, 2, (1, 1)), (4, 2, (1, 1)), (4, 1, (1, 2)), (3, 1, (0, 0)), (5, 1, (2, 2)), (2, 1, (0, 1))],
)
@pytest.mark.parametrize("width", [8, 9, 13])
def test_some_columns_at_a_time_are_the_whole(
    kernel: int, stride: int, sides: tuple[int, int], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of small whole numbers, whose sums bf16 holds exactly, in whatever order they are added."""
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (
        torch.randint(-2, 3, shape, generator=generator).bfloat16()
        for shape in ((2, 2, 3, 6, width), (3, 2, 2, kernel, kernel), (3,))
    )
    steps, padding = (1, stride, stride), (1, *sides, *sides)
    monkeypatch.setattr(convolution, "_has_amx", lambda: True)
    with torch.no_grad():
        whole = convolve_padded(x, padding, weight, bias, steps)
        monkeypatch.setattr(convolution, "_STRIPES", {2: 2})
        calls: list[int] = []
        plain = convolution.convolve

        def noted(x: Tensor, *others: object) -> Tensor:
            calls.append(x.shape[4])
            return plain(x, *others)  # type: ignore[arg-type]

        monkeypatch.setattr(convolution, "convolve", noted)
        pieces = convolve_padded(x, padding, weight, bias, steps)
    assert len(calls) == -(-whole.shape[4] // 2)
    assert set(calls[:-1]) == {kernel + stride}
    assert torch.equal(pieces, whole)
    assert pieces.is_contiguous(memory_format=torch.channels_last_3d)


def test_where_all_columns_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = torch.zeros(1, 128, 3, 2, 64), torch.zeros(4, 128, 3, 3, 3)

    def columns(x: Tensor, weight: Tensor, count: int = 64) -> int:
        return convolution._columns_at_once(x, weight, count)

    monkeypatch.setattr(convolution, "_has_amx", lambda: True)
    assert columns(x.bfloat16(), weight) == 64, "with gradients"
    with torch.no_grad():
        assert columns(x.bfloat16(), weight) == 32
        assert columns(x.bfloat16(), weight, 49) == 32
        assert columns(x.bfloat16(), weight, 48) == 48, "fast enough"
        assert columns(x.bfloat16(), weight[:, :96]) == 64, "of so many channels nothing is gained"
        assert columns(x.bfloat16(), weight[:, :, :1]) == 64, "one frame"
        assert columns(x, weight) == 64, "fp32"
        assert columns(x.bfloat16().to("meta"), weight) == 64, "another device"
        with torch.autocast("cpu", torch.bfloat16):
            assert columns(x, weight) == 32
        monkeypatch.setattr(convolution, "_has_amx", lambda: False)
        assert columns(x.bfloat16(), weight) == 64, "no AMX"


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("width", [1, 2, 3])
def test_one_column_of_a_strided_convolution_in_bf16(width: int, gradients: bool) -> None:
    """Which torch alone gets wrong with AMX. Whole numbers, so that the sums are exact."""
    generator = torch.Generator().manual_seed(0)
    x, weight = (
        torch.randint(-1, 2, shape, generator=generator).bfloat16()
        for shape in ((2, 4, 3, 17, width + 2), (3, 4, 2, 3, 3))
    )
    with torch.set_grad_enabled(gradients):
        video = convolution.convolve(x, weight, None, (1, 1, 2))
        image = convolution.convolve(x[:, :, 0], weight[:, :, 0], None, (2, 2))
    exact = F.conv3d(x.double(), weight.double(), stride=(1, 1, 2))
    assert torch.equal(video.double(), exact)
    assert torch.equal(image.double(), F.conv2d(x[:, :, 0].double(), weight[:, :, 0].double(), stride=2))


@AMX
@pytest.mark.parametrize("channels", [64, 128, 256, 512])
def test_an_output_does_not_depend_on_how_wide_or_long_the_video_is(channels: int) -> None:
    layer = CausalConv3d(channels, 32, (3, 3, 3), bias=False).bfloat16()
    x = drawn(1, channels, 5, 4, 64).bfloat16().contiguous(memory_format=torch.channels_last_3d)
    with torch.no_grad():
        whole = layer(x)
        assert torch.equal(layer(x[..., :20])[..., :19], whole[..., :19])
        stream = Stream(layer)
        first = layer(x[:, :, :1], stream)
        stream.started = True
        assert torch.equal(torch.cat([first, layer(x[:, :, 1:], stream)], dim=2), whole)


@AMX
@pytest.mark.parametrize("channels", [64, 128, 256, 512])
def test_all_columns_at_once_differ_by_a_rounding(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = CausalConv3d(channels, 32, (3, 3, 3), bias=False).bfloat16()
    x = drawn(1, channels, 5, 4, 64).bfloat16()
    with torch.no_grad():
        found = layer(x)
        monkeypatch.setattr(convolution, "_has_amx", lambda: False)
        expected = layer(x)
    # bf16 has 8 significant bits; sums that nearly cancel are compared with the others' size
    torch.testing.assert_close(found, expected, rtol=2**-7, atol=1e-4)
