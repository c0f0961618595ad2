"""Parameters, FLOPs and saved bytes against closed forms, and on ``meta`` as on real tensors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tests.support.tiny_models import AUTOENCODER, BASE
from walt.autoencoder.model import CausalAutoencoder
from walt.nn.accounting import forward_flops, parameters_by_part, saved_bytes
from walt.nn.attention import TextCrossAttention, WindowSelfAttention
from walt.nn.causal import CausalConv3d
from walt.transformer.model import WaltTransformer

DEVICES = pytest.mark.parametrize("device", ["meta", "cpu"])


def test_parts_sum_to_the_model_and_a_shared_weight_counts_once() -> None:
    model = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 3), nn.Linear(5, 3))
    model[2].weight = model[1].weight
    parts = parameters_by_part(model, lambda name: "first" if name.startswith("0.") else "rest")
    assert parts == {"first": 3 * 5 + 5, "rest": 5 * 3 + 3 + 3}


@DEVICES
def test_flops_of_a_linear_layer(device: str) -> None:
    with torch.device(device):
        layer, x = nn.Linear(7, 11), torch.zeros(2, 3, 7)
    assert forward_flops(lambda: layer(x)) == 2 * (2 * 3) * 7 * 11


@DEVICES
@pytest.mark.parametrize(
    ("frames", "stride", "out", "taps"),
    [
        (5, (1, 1, 1), 5 * 8 * 8, 27),
        (5, (2, 2, 2), 3 * 4 * 4, 27),
        (1, (1, 1, 1), 8 * 8, 9),  # the taps in time are added up first
    ],
)
def test_flops_of_a_causal_convolution(
    device: str, frames: int, stride: tuple[int, int, int], out: int, taps: int
) -> None:
    with torch.device(device):
        layer, x = CausalConv3d(4, 6, (3, 3, 3), stride), torch.zeros(1, 4, frames, 8, 8)
    assert forward_flops(lambda: layer(x)) == 2 * out * taps * 4 * 6


@DEVICES
def test_flops_of_window_attention(device: str) -> None:
    """Projections of all tokens; scores and their sum over the N tokens of each window."""
    width, window, tokens = 16, (2, 2, 2), 4 * 4 * 4
    with torch.device(device):
        layer = WindowSelfAttention(width, 2, window, qk_norm=True, relative_position_bias=True)
        x = torch.zeros(1, 4, 4, 4, width)
    assert forward_flops(lambda: layer(x)) == 2 * tokens * width * (3 * width + width) + 2 * 2 * tokens * 8 * width


@DEVICES
def test_flops_of_cross_attention(device: str) -> None:
    """Keys and values are the window's N tokens and the L of the text, which are projected once."""
    width, tokens, length = 16, 4 * 4, 3
    with torch.device(device):
        layer = TextCrossAttention(width, 2, (1, 4, 4), qk_norm=False)
        x, text, mask = torch.zeros(1, 1, 4, 4, width), torch.zeros(1, 1, length, width), torch.ones(1, 1, length)
    expected = 2 * tokens * width * 2 * width  # query and output
    expected += 2 * (tokens + length) * width * 2 * width
    expected += 2 * 2 * tokens * (tokens + length) * width
    assert forward_flops(lambda: layer(x, text, mask.bool())) == expected


@DEVICES
def test_flops_of_a_convolution(device: str) -> None:
    with torch.device(device):
        layer, x = nn.Conv3d(3, 5, 3, padding=1), torch.zeros(1, 3, 4, 6, 6)
    assert forward_flops(lambda: layer(x)) == 2 * 5 * 3 * 27 * 4 * 6 * 6


@DEVICES
@pytest.mark.parametrize("masked", [False, True])
def test_flops_of_torchs_own_attention(device: str, masked: bool) -> None:
    """Two products, and four backward. Of processors' kernels torch's counter itself has none: both would be 0."""
    query, key, value = (torch.zeros(2, 4, n, 16, device=device, requires_grad=True) for n in (8, 6, 6))
    mask = torch.ones(8, 6, dtype=torch.bool, device=device) if masked else None
    product = 2 * (2 * 4) * 8 * 6 * 16
    assert forward_flops(lambda: F.scaled_dot_product_attention(query, key, value, mask)) == 2 * product
    step = forward_flops(lambda: F.scaled_dot_product_attention(query, key, value, mask).sum().backward())
    assert step == 6 * product


@DEVICES
def test_flops_of_grouped_queries(device: str) -> None:
    query, key = torch.zeros(2, 4, 8, 16, device=device), torch.zeros(2, 2, 8, 16, device=device)
    expected = 2 * 2 * (2 * 4) * 8 * 8 * 16
    assert forward_flops(lambda: F.scaled_dot_product_attention(query, key, key, enable_gqa=True)) == expected


def test_what_is_saved_is_counted_once_and_without_weights() -> None:
    """A square keeps its input; a linear layer its input, which is the same; views have no storage of their own."""
    with torch.device("meta"):
        layer, x = nn.Linear(8, 8), torch.zeros(4, 8, requires_grad=True)
    assert saved_bytes(layer, lambda: (x.square(), layer(x), layer(x.view(2, 2, 8)))) == x.nbytes
    assert saved_bytes(layer, lambda: layer(x)) == x.nbytes
    assert saved_bytes(layer, lambda: x + 1) == 0


def test_the_number_format_counts() -> None:
    def bytes_in(dtype: torch.dtype) -> int:
        with torch.device("meta"):
            model = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8)).to(dtype)
            x = torch.zeros(4, 8, dtype=dtype)
        return saved_bytes(model, lambda: model(x))

    assert bytes_in(torch.float32) == 4 * 4 * (8 + 32 + 32)
    assert bytes_in(torch.bfloat16) == bytes_in(torch.float32) // 2


def test_a_checkpointed_part_counts_with_its_input() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8))
        x = torch.zeros(4, 8, requires_grad=True)
    assert saved_bytes(model, lambda: checkpoint(model, x, use_reentrant=False)) == x.nbytes


Built = tuple[WaltTransformer | CausalAutoencoder, Callable[[], Tensor]]


def _transformer(device: str) -> Built:
    with torch.device(device):
        model = WaltTransformer(BASE)
        latents, text = torch.zeros(1, 4, 2, 2, 2), torch.zeros(1, 8, BASE.text_width)
        steps, mask = torch.zeros(1, dtype=torch.int64), torch.ones(1, 8, dtype=torch.bool)
    return model, lambda: model(latents, steps, text, mask)


def _autoencoder(device: str) -> Built:
    with torch.device(device):
        model, video = CausalAutoencoder(AUTOENCODER), torch.zeros(1, 3, 5, 16, 16)
    return model, lambda: model.decode(model.encode(video)[0])


@pytest.mark.slow
@pytest.mark.parametrize("build", [_transformer, _autoencoder])
def test_meta_agrees_with_a_processor(build: Callable[[str], Built]) -> None:
    """Whole models: the same FLOPs, and the same bytes except the statistics of a few norms."""
    (model, forward), (real, run) = build("meta"), build("cpu")
    assert forward_flops(forward) == forward_flops(run) > 0
    assert saved_bytes(model, forward) == pytest.approx(saved_bytes(real, run), rel=0.005)


@pytest.mark.slow
@pytest.mark.parametrize("build", [_transformer, _autoencoder])
def test_checkpointing_shows(build: Callable[[str], Built]) -> None:
    model, forward = build("meta")
    kept, flops = saved_bytes(model, forward), forward_flops(forward)
    model.activation_checkpointing = True
    assert 0 < saved_bytes(model, forward) < 0.6 * kept
    assert forward_flops(forward) == flops
