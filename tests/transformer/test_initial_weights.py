"""Another aspect ratio: interpolated tables, scaled windows, and what must not differ."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.transformers import CLASS, SR, TINY, inputs, stirred
from walt.core.errors import ConfigurationError
from walt.transformer.config import TransformerConfig
from walt.transformer.initial_weights import at_aspect
from walt.transformer.model import WaltTransformer

SQUARE = TransformerConfig.model_validate(
    {
        **TINY.model_dump(), "layers": 2, "width": 8, "mlp_width": 8, "latent_grid": (5, 16, 16),
        "spatial_window": (1, 16, 16), "spatiotemporal_window": (5, 8, 8),
    }
)  # fmt: skip
WIDE = SQUARE.model_copy(
    update={
        "resolution": (128, 224), "latent_grid": (5, 16, 28), "spatial_window": (1, 16, 28),
        "spatiotemporal_window": (5, 8, 14),
    }
)  # fmt: skip


def kernel(distance: float) -> float:
    """Keys' cubic convolution with a = -0.75, as torch has it."""
    x, a = abs(distance), -0.75
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def bicubic(table: Tensor, row: int, column: int, height: int, width: int) -> float:
    """Cell (row, column) of the table (h, w) at height x width; outside the table its edge is repeated."""
    y = (row + 0.5) * table.shape[0] / height - 0.5
    x = (column + 0.5) * table.shape[1] / width - 0.5
    total = 0.0
    for i in range(int(y // 1) - 1, int(y // 1) + 3):
        for j in range(int(x // 1) - 1, int(x // 1) + 3):
            value = table[min(max(i, 0), table.shape[0] - 1), min(max(j, 0), table.shape[1] - 1)]
            total += kernel(y - i) * kernel(x - j) * float(value)
    return total


@pytest.mark.parametrize("config", [TINY, SR, CLASS, SQUARE], ids=["base", "sr", "class", "square"])
def test_the_original_size_is_the_original(config: TransformerConfig) -> None:
    weights = stirred(config).state_dict()
    same = at_aspect(weights, config, config)
    assert same.keys() == weights.keys()
    assert all(torch.equal(same[name], weights[name]) for name in weights)
    single = {name: weight.float() for name, weight in weights.items()}
    assert all(torch.equal(weight, single[name]) for name, weight in at_aspect(single, config, config).items())


def test_tables_are_interpolated_and_nothing_else_changes() -> None:
    weights = stirred(SQUARE).state_dict()
    wide = at_aspect(weights, SQUARE, WIDE)
    model = WaltTransformer(WIDE).double()
    model.load_state_dict(wide)
    assert model(**inputs(config=WIDE)).shape == (2, 3, 5, 16, 28)
    changed = {name for name in weights if wide[name].shape != weights[name].shape}
    assert changed == {"position.space", *(f"blocks.{i}.self_attention.bias.table" for i in range(2))}
    assert all(torch.equal(wide[name], weights[name]) for name in weights.keys() - changed)


@pytest.mark.parametrize("places", [[(0, 0), (7, 13), (15, 27), (3, 20)]])
def test_a_smooth_table_of_places_becomes_what_bicubic_interpolation_says(places: list[tuple[int, int]]) -> None:
    weights = stirred(SQUARE).state_dict()
    rows, columns = torch.arange(16.0).double()[:, None], torch.arange(16.0).double()[None]
    smooth = torch.sin(rows / 4) + torch.cos(columns / 5) + rows * columns / 100
    weights["position.space"] = smooth[..., None] * torch.arange(1.0, 9.0).double()
    space = at_aspect(weights, SQUARE, WIDE)["position.space"]
    assert space.shape == (16, 28, 8)
    for row, column in places:
        expected = bicubic(smooth, row, column, 16, 28)
        assert float(space[row, column, 0]) == pytest.approx(expected, abs=1e-12)
        assert float(space[row, column, 7]) == pytest.approx(8 * expected, abs=1e-12)
        # and close to the smooth function itself, away from the edges
        x = (column + 0.5) * 16 / 28 - 0.5
        there = torch.sin(torch.tensor(row / 4)) + torch.cos(torch.tensor(x / 5)) + row * x / 100
        assert float(space[row, column, 0]) == pytest.approx(float(there), abs=0.05 if column in (0, 27) else 0.01)


def test_relative_tables_are_interpolated_in_space_a_time_at_a_time() -> None:
    weights = stirred(SQUARE).state_dict()
    wide = at_aspect(weights, SQUARE, WIDE)
    for block, window, other in ((0, (1, 16, 16), (1, 16, 28)), (1, (5, 8, 8), (5, 8, 14))):
        name = f"blocks.{block}.self_attention.bias.table"
        assert weights[name].shape == (2, *(2 * side - 1 for side in window))
        shape = tuple(2 * side - 1 for side in other)
        assert wide[name].shape == (2, *shape)
        for head, time, row, column in ((0, 0, 0, 0), (1, shape[0] - 1, 5, 9), (1, 0, shape[1] - 1, shape[2] // 2)):
            expected = bicubic(weights[name][head, time], row, column, *shape[1:])
            assert float(wide[name][head, time, row, column]) == pytest.approx(expected, abs=1e-12)
        # no offset in space stays no offset in space
        middle = (slice(None), slice(None), window[1] - 1)
        torch.testing.assert_close(wide[name][(*middle, other[2] - 1)], weights[name][(*middle, window[2] - 1)])


def test_without_relative_bias_only_the_places_change() -> None:
    square, wide = (config.model_copy(update={"relative_position_bias": False}) for config in (SQUARE, WIDE))
    weights = stirred(square).state_dict()
    resized = at_aspect(weights, square, wide)
    assert [name for name in weights if resized[name].shape != weights[name].shape] == ["position.space"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 16, "heads": 4}, r"width: 8 there, 16 here; heads: 2 there, 4 here"),
        ({"self_conditioning": False}, "self_conditioning: True there, False here"),
        ({"patch_size": 2, "latent_grid": (5, 32, 56)}, "patch_size: 1 there, 2 here"),
        ({"latent_grid": (9, 16, 28), "spatiotemporal_window": (9, 8, 14)}, "latent_grid: 5 frames there, 9 here"),
        (
            {"spatiotemporal_window": (5, 8, 7)},
            r"spatiotemporal_window: \[5, 8, 8\] of \[5, 16, 16\] tokens there, \[5, 8, 7\] of \[5, 16, 28\] here",
        ),
        ({"spatial_window": (1, 16, 14)}, "spatial_window: "),
        ({"spatial_window": (5, 16, 28)}, "spatial_window: "),
    ],
)
def test_other_differences_are_errors_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        at_aspect(stirred(SQUARE).state_dict(), SQUARE, WIDE.model_copy(update=changes))
