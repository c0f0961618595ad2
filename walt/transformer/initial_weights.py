"""The weights that a transformer starts with: drawn, or those of a model of another aspect ratio, whose position tables
are interpolated and windows scaled (paper, Table 6)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from walt.core.errors import ConfigurationError
from walt.nn.adaln import LabelEmbedding, LowRankModulation, SharedModulation
from walt.nn.positions import AbsolutePosition, RelativePositionBias, token_grid
from walt.transformer.config import TransformerConfig

_MAY_DIFFER = {"resolution", "latent_grid", "spatial_window", "spatiotemporal_window"}


def initialise(model: nn.Module) -> None:
    """Set every weight.

    Linear layers: Xavier uniform, biases zero; the columns of the first layer that see the estimate, the known
    frames and the low resolution are not an exception. Position embeddings, relative position biases and the
    labels' embedding: normal, std 0.02. Modulations start at zero, so each block's gated branches start closed
    (AdaLN-Zero, DiT section 3.2); of the low-rank pair only the second factor is zero, since two zero factors would
    never learn. Cross-attention's output and the last layer start at zero: the untrained model predicts zero. Scales of
    the query-key normalisation start at one.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, AbsolutePosition):
            nn.init.normal_(module.space, std=0.02)
            nn.init.normal_(module.time, std=0.02)
        elif isinstance(module, RelativePositionBias | LabelEmbedding):
            nn.init.normal_(module.table, std=0.02)
    for name, module in model.named_modules():
        if isinstance(module, SharedModulation):
            nn.init.zeros_(module.mlp[1].weight)  # type: ignore[arg-type]
        elif isinstance(module, LowRankModulation):
            nn.init.normal_(module.down.weight, std=0.02)
            nn.init.zeros_(module.up.weight)
        elif name.endswith("cross_attention"):
            nn.init.zeros_(module.out.weight)
        elif name in ("patch_out", "final_modulation.1"):
            nn.init.zeros_(module.weight)


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
    _, height, width = token_grid(wanted.latent_grid, wanted.patch_size)
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
    grids = [token_grid(config.latent_grid, config.patch_size) for config in (trained, wanted)]
    for key in ("spatial_window", "spatiotemporal_window"):
        windows = (getattr(trained, key), getattr(wanted, key))
        # the share of the grid, side by side: the windows' ratio is the grids'
        if any(w0 * g1 != w1 * g0 for w0, w1, g0, g1 in zip(*windows, *grids, strict=True)):
            there, here = (f"{list(w)} of {list(g)}" for w, g in zip(windows, grids, strict=True))
            problems.append(f"{key}: {there} tokens there, {here} here")
    if problems:
        raise ConfigurationError(f"weights of another model cannot take this aspect ratio ({'; '.join(problems)})")
