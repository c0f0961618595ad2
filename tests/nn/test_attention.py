"""Windows, positions and attention against their definitions."""

from __future__ import annotations

import pytest
import torch

from tests.support.full_attention import full_cross_attention, full_self_attention
from walt.nn.attention import TextCrossAttention, WindowSelfAttention, merge, partition
from walt.nn.positions import Window

GRID = (4, 4, 6)
WINDOWS = [(1, 4, 6), (4, 2, 2), (2, 4, 3), (4, 4, 6), (1, 1, 1)]


def tokens(width: int = 8) -> torch.Tensor:
    return torch.randn((2, *GRID, width), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("window", WINDOWS)
def test_merge_undoes_partition(window: Window) -> None:
    x = tokens()
    assert torch.equal(merge(partition(x, window), window, GRID), x)


def test_a_window_must_divide_the_grid() -> None:
    with pytest.raises(ValueError, match="does not divide"):
        partition(tokens(), (3, 2, 2))


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("bias", [True, False])
def test_window_attention_is_full_attention_under_a_mask(window: Window, bias: bool) -> None:
    torch.manual_seed(1)
    attention = WindowSelfAttention(8, 2, window, qk_norm=True, relative_position_bias=bias).double()
    if attention.bias is not None:
        torch.nn.init.normal_(attention.bias.table)
    torch.testing.assert_close(attention(tokens()), full_self_attention(attention, tokens()))


@pytest.mark.parametrize("window", [(1, 4, 6), (4, 2, 2)])
@pytest.mark.parametrize("videos", [0, 1, 2])
def test_images_have_the_identity_mask_where_a_window_has_several_frames(window: Window, videos: int) -> None:
    torch.manual_seed(1)
    attention = WindowSelfAttention(8, 2, window, qk_norm=True, relative_position_bias=True).double()
    torch.testing.assert_close(attention(tokens(), videos), full_self_attention(attention, tokens(), videos))


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("entries", [1, 4])
def test_cross_attention_is_full_attention_under_a_mask(window: Window, entries: int) -> None:
    torch.manual_seed(5)
    attention = TextCrossAttention(8, 2, window, qk_norm=True).double()
    text, mask = torch.randn(2, entries, 5, 8, dtype=torch.float64), torch.rand(2, entries, 5) < 0.7
    if entries > 1 and window[0] > 1:
        with pytest.raises(ValueError, match="windows of one frame"):
            attention(tokens(), text, mask)
    else:
        expected = full_cross_attention(attention, tokens(), text, mask)
        torch.testing.assert_close(attention(tokens(), text, mask), expected)


def test_identity_attention_projects_each_tokens_own_value() -> None:
    attention = WindowSelfAttention(8, 2, (1, 1, 1), qk_norm=True, relative_position_bias=True).double()
    x = tokens()
    # a window of one token attends to itself alone
    torch.testing.assert_close(attention.identity(x), attention(x))


@pytest.mark.parametrize("per_frame", [True, False])
def test_text_outside_the_mask_is_not_seen(per_frame: bool) -> None:
    torch.manual_seed(2)
    attention = TextCrossAttention(8, 2, (1, 4, 6), qk_norm=True).double()
    shape = (2, GRID[0] if per_frame else 1, 5)
    text = torch.randn(*shape, 8, dtype=torch.float64)
    mask = torch.ones(shape, dtype=torch.bool)
    mask[..., 3:] = False
    changed = text.clone()
    changed[..., 3:, :] += 1
    x = tokens()
    assert torch.equal(attention(x, changed, mask), attention(x, text, mask))
    changed[..., 0, :] += 1
    assert not torch.equal(attention(x, changed, mask), attention(x, text, mask))


def test_a_condition_for_each_frame_reaches_that_frame_only() -> None:
    torch.manual_seed(3)
    attention = TextCrossAttention(8, 2, (1, 2, 3), qk_norm=False).double()
    text = torch.randn(2, GRID[0], 5, 8, dtype=torch.float64)
    mask = torch.ones(2, GRID[0], 5, dtype=torch.bool)
    changed = text.clone()
    changed[:, 2] += 1
    difference = (attention(tokens(), changed, mask) - attention(tokens(), text, mask)).abs().amax(dim=(0, 2, 3, 4))
    assert (difference > 0).tolist() == [False, False, True, False]


def test_cross_attention_keys_are_window_tokens_and_text() -> None:
    """With no text at all it is self-attention within the window."""
    torch.manual_seed(4)
    attention = TextCrossAttention(8, 1, (4, 2, 2), qk_norm=False).double()
    x = tokens()
    nothing = torch.zeros(2, 1, 3, 8, dtype=torch.float64), torch.zeros(2, 1, 3, dtype=torch.bool)
    windows = partition(x, (4, 2, 2))
    key, value = attention.key_value(windows).chunk(2, -1)
    attended = (attention.query(windows) @ key.transpose(-1, -2) / 8**0.5).softmax(-1) @ value
    expected = attention.out(merge(attended, (4, 2, 2), GRID))
    torch.testing.assert_close(attention(x, *nothing), expected)
