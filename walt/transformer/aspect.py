"""From one aspect ratio to another: position tables are interpolated and windows scaled (paper, Table 6)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from walt.core.errors import ConfigurationError
from walt.transformer.config import TransformerConfig

_MAY_DIFFER = {"resolution", "latent_grid", "spatial_window", "spatiotemporal_window"}


def at_aspect(
    state_dict: dict[str, Tensor], trained: TransformerConfig, wanted: TransformerConfig
) -> dict[str, Tensor]:
    """Weights of a model of ``trained`` as those of a model of ``wanted``, whose grid has another height and width.

    The embedding of places and each block's relative position bias are interpolated (bicubic, height and width alone;
    what has its size already stays as it is), all else is the same. The numbers of frames must agree, and windows must
    keep their share of the grid: 1x16x16 and 5x8x8 of 5x16x16 become 1x16x28 and 5x8x14 of 5x16x28.

    Raises:
        ConfigurationError: another setting differs, or a window is not scaled; the message names each.
    """
    _check_fit(trained, wanted)
    resized = dict(state_dict)
    _, height, width = wanted.token_grid
    space = resized["position.space"].permute(2, 0, 1)  # (D, H, W)
    resized["position.space"] = _interpolate(space, height, width).permute(1, 2, 0).contiguous()
    windows = (wanted.spatial_window, wanted.spatiotemporal_window)
    for index in range(wanted.layers if wanted.relative_position_bias else 0):
        name = f"blocks.{index}.self_attention.bias.table"  # (heads, 2 t - 1, 2 h - 1, 2 w - 1)
        _, height, width = windows[index % 2]
        resized[name] = _interpolate(resized[name], 2 * height - 1, 2 * width - 1)
    return resized


def _interpolate(table: Tensor, height: int, width: int) -> Tensor:
    """(A, ..., h, w) -> (A, ..., height, width); cells are areas (their centres are aligned, not the corners)."""
    rows = table.reshape(1, -1, *table.shape[-2:]).double()
    resized = F.interpolate(rows, (height, width), mode="bicubic", align_corners=False)
    return resized.reshape(*table.shape[:-2], height, width).to(table.dtype)


def _check_fit(trained: TransformerConfig, wanted: TransformerConfig) -> None:
    old, new = trained.model_dump(), wanted.model_dump()
    problems = [
        f"{key}: {old[key]} there, {new[key]} here" for key in old if key not in _MAY_DIFFER and old[key] != new[key]
    ]
    frames = (trained.latent_grid[0], wanted.latent_grid[0])
    if frames[0] != frames[1]:
        problems.append(f"latent_grid: {frames[0]} frames there, {frames[1]} here")
    grids = (trained.token_grid, wanted.token_grid)
    for key in ("spatial_window", "spatiotemporal_window"):
        windows = (getattr(trained, key), getattr(wanted, key))
        # the share of the grid, side by side: the windows' ratio is the grids'
        if any(w0 * g1 != w1 * g0 for w0, w1, g0, g1 in zip(*windows, *grids, strict=True)):
            there, here = (f"{list(w)} of {list(g)}" for w, g in zip(windows, grids, strict=True))
            problems.append(f"{key}: {there} tokens there, {here} here")
    if problems:
        raise ConfigurationError(f"weights of another model cannot take this aspect ratio ({'; '.join(problems)})")
