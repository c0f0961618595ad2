"""Small random networks with the interfaces of those that evaluations use, as files and folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer, VideoMAEConfig, VideoMAEModel

from walt.evaluation.pretrained_folders import WEIGHTS

LAYERS = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def write_videomae(folder: Path) -> Path:
    torch.manual_seed(0)
    VideoMAEModel(VideoMAEConfig(image_size=16, patch_size=8, num_frames=4, **LAYERS)).save_pretrained(folder)
    return folder / WEIGHTS


def write_clip(folder: Path) -> Path:
    torch.manual_seed(0)
    text = {**LAYERS, "vocab_size": 32, "max_position_embeddings": 8, "bos_token_id": 0, "eos_token_id": 1}
    vision = {**LAYERS, "image_size": 16, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)).save_pretrained(folder)
    letters = "abcdefghijklm"
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    vocab, merges = folder / "vocab.json", folder / "merges.txt"
    vocab.write_text(json.dumps({word: number for number, word in enumerate(words)}))
    merges.write_text("#version: 0.2\n")
    CLIPTokenizer(str(vocab), str(merges)).save_pretrained(folder)
    return folder / WEIGHTS


class C3D(nn.Module):
    """Has the interface of StyleGAN-V's file."""

    def forward(self, x: Tensor) -> Tensor:
        assert x.dtype == torch.uint8
        return x.flatten(1)[:, :101].float().softmax(1)


class NotC3D(nn.Module):
    """Gives logits."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :101].float()


class AlmostC3D(nn.Module):
    """Gives numbers from 0 to 1 whose sum is not 1."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :101].float().softmax(1) * 0.9


class Inception(nn.Module):
    """Has the interface of StyleGAN3's file."""

    def forward(self, x: Tensor, return_features: bool = False, no_output_bias: bool = False) -> Tensor:
        assert x.dtype == torch.uint8
        assert x.dim() == 4
        found = x.float().flatten(1)
        if return_features:
            return found[:, :1].expand(-1, 2048)
        assert no_output_bias
        return found[:, :1008].softmax(1)


def script(module: nn.Module) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        torch.jit.save(torch.jit.script(module), str(folder / "network.pt"))
        return folder / "network.pt"

    return write
