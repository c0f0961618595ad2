"""Tiny autoencoders of diffusers with random weights, as folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def write_wan(folder: Path, seed: int = 0, **changes: Any) -> Any:
    """Wan's causal one: f_s 8, f_t 4, 4 channels."""
    from diffusers import AutoencoderKLWan

    settings = {
        "base_dim": 4, "z_dim": 4, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1,
        "temperal_downsample": [False, True, True],
    }  # fmt: skip
    return _write(AutoencoderKLWan, {**settings, **changes}, folder, seed)


def write_cogvideox(folder: Path, seed: int = 0) -> Any:
    """CogVideoX's, which is not causal: f_s 8, f_t 4, 4 channels."""
    from diffusers import AutoencoderKLCogVideoX

    settings = {
        "down_block_types": ("CogVideoXDownBlock3D",) * 4, "up_block_types": ("CogVideoXUpBlock3D",) * 4,
        "block_out_channels": (4, 4, 4, 4), "latent_channels": 4, "layers_per_block": 1, "norm_num_groups": 2,
    }  # fmt: skip
    return _write(AutoencoderKLCogVideoX, settings, folder, seed)


def _write(kind: Any, settings: dict[str, Any], folder: Path, seed: int) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae = kind(**settings).eval()
    vae.save_pretrained(folder)
    return vae
