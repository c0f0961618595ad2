"""Attention by pieces against the plain formula: result and every gradient, for every way to cut and to keep."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tests.support.full_attention import relative_position_bias
from walt.nn import chunked_attention
from walt.nn.accounting import forward_flops, saved_bytes
from walt.nn.attention import attend, torchs_attention
from walt.nn.positions import RelativePositionBias, Window

HEADS, WINDOWS_OF_BATCH, WIDTH = 3, 4, 2
WINDOWS = [(1, 4, 4), (3, 2, 2), (2, 4, 3), (4, 1, 1), (1, 1, 1)]
Inputs = tuple[Tensor, Tensor, Tensor, RelativePositionBias | None, Tensor | None]


def given(window: Window, bias: bool, text: int = 0, dtype: torch.dtype = torch.float64) -> Inputs:
    """Queries, keys and values as a projection leaves them, strided; ``text``: more keys, some of which are hidden."""
    torch.manual_seed(0)
    count = window[0] * window[1] * window[2]
    keys = count + text
    query, key, value = (
        torch.randn(WINDOWS_OF_BATCH, tokens, HEADS, WIDTH, dtype=dtype).permute(2, 0, 1, 3).requires_grad_()
        for tokens in (count, keys, keys)
    )
    relative = RelativePositionBias(window, HEADS) if bias else None
    if relative is not None:
        torch.nn.init.normal_(relative.table)
        if dtype == torch.float64:
            relative.double()
    hidden = None
    if text:
        hidden = torch.zeros(WINDOWS_OF_BATCH, keys, dtype=torch.bool)
        hidden[1, -1], hidden[3, -2:] = True, True
    return query, key, value, relative, hidden


def plain(
    query: Tensor, key: Tensor, value: Tensor, bias: RelativePositionBias | None, hidden: Tensor | None
) -> Tensor:
    scores = query @ key.transpose(-1, -2) * WIDTH**-0.5
    if bias is not None:
        scores = scores + relative_position_bias(bias.table, bias.window)[:, None]
    if hidden is not None:
        scores = scores.masked_fill(hidden[:, None], float("-inf"))
    return scores.softmax(-1) @ value


def gradients(output: Tensor, inputs: Inputs) -> list[Tensor]:
    wanted = [*inputs[:3], *([] if inputs[3] is None else [inputs[3].table])]
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return list(torch.autograd.grad(output, wanted, weights.to(output.dtype)))


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "computed again"])
@pytest.mark.parametrize("windows_in_a_piece", [1, 3, 4, 9, 1000])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("kind", ["bias", "text", "neither"])
def test_pieces_are_the_whole(
    monkeypatch: pytest.MonkeyPatch, window: Window, kind: str, windows_in_a_piece: int, keep: bool
) -> None:
    inputs = given(window, kind == "bias", 3 if kind == "text" else 0)
    query, key = inputs[:2]
    piece = windows_in_a_piece * query.shape[2] * key.shape[2] * 8
    monkeypatch.setattr(chunked_attention, "_PIECE_BYTES", piece)
    monkeypatch.setattr("walt.nn.attention.worth_keeping", lambda *_: keep)
    output, expected = attend(*inputs), plain(*inputs)
    torch.testing.assert_close(output, expected, rtol=1e-10, atol=1e-10)
    for found, wanted in zip(gradients(output, inputs), gradients(expected, inputs), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


def test_every_window_of_every_head_is_in_one_piece() -> None:
    for windows, fitting in ((4, 1), (4, 3), (4, 4), (4, 9), (1, 2)):
        query = torch.empty(3, windows, 2, 1, dtype=torch.float64)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(chunked_attention, "_PIECE_BYTES", fitting * 2 * 2 * 8)
            pieces = list(chunked_attention._pieces(query, query))
        assert [i for piece in pieces for i in range(piece.start, piece.stop)] == list(range(3 * windows))
        assert max(piece.stop - piece.start for piece in pieces) <= fitting


@pytest.mark.parametrize("kind", ["bias", "text", "neither"])
def test_torchs_own_kernels_agree(kind: str) -> None:
    """What runs on GPUs, here on a processor."""
    inputs = given((3, 2, 2), kind == "bias", 3 if kind == "text" else 0)
    query, *others = inputs
    output, expected = torchs_attention(query * WIDTH**-0.5, *others), plain(*inputs)
    torch.testing.assert_close(output, expected, rtol=1e-10, atol=1e-10)
    for found, wanted in zip(gradients(output, inputs), gradients(expected, inputs), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", ["bias", "text"])
def test_bf16_is_near(kind: str) -> None:
    """Within a fiftieth of the largest; the table stays in single precision, and so does its gradient."""
    inputs = given((3, 2, 2), kind == "bias", 3 if kind == "text" else 0, torch.bfloat16)
    exact = (*(x.detach().double().requires_grad_() for x in inputs[:3]), copy.deepcopy(inputs[3]), inputs[4])
    output, expected = attend(*inputs), plain(*exact)
    assert output.dtype == torch.bfloat16
    found, wanted = gradients(output, inputs), gradients(expected, exact)
    assert [x.dtype for x in found] == [torch.bfloat16] * 3 + [torch.float32] * (kind == "bias")
    for one, other in zip([output, *found], [expected, *wanted], strict=True):
        torch.testing.assert_close(one.double(), other.double(), rtol=0, atol=0.02 * float(other.detach().abs().max()))


def test_what_is_kept() -> None:
    """Queries, keys and values; the weights of small windows, and of none where nothing is to be differentiated."""
    for frames, weights in ((2, 2**2), (64, 0)):
        query, key, value, bias, _ = given((frames, 1, 1), True, dtype=torch.float32)
        assert bias is not None
        inputs = query.nbytes + key.nbytes + value.nbytes
        found = saved_bytes(bias, lambda q=query, k=key, v=value, b=bias: attend(q, k, v, b))
        assert found == inputs + HEADS * WINDOWS_OF_BATCH * weights * 4


def test_checkpointing_changes_nothing() -> None:
    inputs = given((3, 2, 2), True)
    again = checkpoint(attend, *inputs, use_reentrant=False)
    assert torch.equal(again, attend(*inputs))
    for found, wanted in zip(gradients(again, inputs), gradients(attend(*inputs), inputs), strict=True):
        assert torch.equal(found, wanted)


def test_flops_are_two_products_forward_and_four_back() -> None:
    query, key, value, *others = (x if x is None else x.to("meta") for x in given((3, 2, 2), False, 3))
    products = 2 * HEADS * WINDOWS_OF_BATCH * 12 * 15 * WIDTH
    assert forward_flops(lambda: attend(query, key, value, *others)) == 2 * products
    query, key, value = (x.detach().requires_grad_() for x in (query, key, value))
    assert forward_flops(lambda: attend(query, key, value, *others).sum().backward()) == 6 * products


@pytest.mark.slow
def test_the_operators_keep_torchs_rules() -> None:
    """Schema, shapes on ``meta``, and how they differentiate and compile, by torch's own checks."""
    query, key, value, bias, _ = given((3, 2, 2), True)
    assert bias is not None
    for keep in (True, False):
        arguments = (query, key, value, bias.table, None, [3, 2, 2], keep)
        torch.library.opcheck(torch.ops.walt.attend.default, arguments)
