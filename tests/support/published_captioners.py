"""Vision-language models of published families with a few thousand untrained weights, in folders as the hub has them.

What differs between the families is how a processor is asked and what it gives: one row of patches for all pictures
(Qwen), pictures cut into tiles that are nested by request (SmolVLM), a fixed grid of tiles (LLaVA-OneVision).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

_WORDS = ["a", "red", "circle", "moving", "left", "what", "is", "seen", "user", "assistant", "says"]
_TEXT = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
_VISION = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
_HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
_ASKED = "{% if add_generation_prompt %}assistant says{% endif %}"


def _template(picture: str) -> str:
    """One user message, its pictures and its text."""
    return (
        "{% for message in messages %}user {% for part in message['content'] %}{% if part['type'] == 'image' %}"
        f"{picture}{{% else %}}{{{{ part['text'] }}}}{{% endif %}}{{% endfor %}}{{% endfor %}} {_ASKED}"
    )


def _write_tokenizer(folder: Path, special: Sequence[str]) -> dict[str, int]:
    """Returns the numbers of the tokens."""
    tokens = ["<pad>", "<s>", "</s>", "<unk>", *special, *_WORDS]
    words = Tokenizer(WordLevel({token: number for number, token in enumerate(tokens)}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        additional_special_tokens=list(special),
    ).save_pretrained(folder)  # fmt: skip
    return {token: number for number, token in enumerate(tokens)}


def _write(folder: Path, files: dict[str, dict[str, Any]], model: str, config: Any) -> None:
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = getattr(transformers, model)(config)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(6.0)  # so that pictures make a difference to what is said
    made.save_pretrained(folder)


def write_qwen(folder: Path) -> None:
    """Qwen2.5-VL."""
    special = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    ids = _write_tokenizer(folder, special)
    pictures = {
        "min_pixels": 784, "max_pixels": 3136, "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2, **_HALF,
        "image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2_5_VLProcessor",
    }  # fmt: skip
    template = _template("<|vision_start|><|image_pad|><|vision_end|>")
    rope = {"type": "mrope", "mrope_section": [1, 1, 2]}
    config = transformers.Qwen2_5_VLConfig(
        text_config={**_TEXT, "vocab_size": len(ids), "rope_scaling": rope},
        vision_config={
            "depth": 2, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16,
            "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 112,
            "fullatt_block_indexes": [1],
        },
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip
    files = {"preprocessor_config": pictures, "chat_template": {"chat_template": template}}
    _write(folder, files, "Qwen2_5_VLForConditionalGeneration", config)


def write_smolvlm(folder: Path) -> None:
    """SmolVLM2; its processor needs the package num2words."""
    tiles = [f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2)]
    ids = _write_tokenizer(
        folder, ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *tiles]
    )
    pictures = {
        "do_image_splitting": True, "max_image_size": {"longest_edge": 32}, "size": {"longest_edge": 64}, **_HALF,
        "do_convert_rgb": True, "do_normalize": True, "do_pad": True, "do_rescale": True, "do_resize": True,
        "image_processor_type": "SmolVLMImageProcessor", "processor_class": "SmolVLMProcessor",
    }  # fmt: skip
    config = transformers.SmolVLMConfig(
        text_config={**_TEXT, "model_type": "llama", "vocab_size": len(ids)},
        vision_config={**_VISION, "image_size": 32, "patch_size": 8}, scale_factor=2, image_token_id=ids["<image>"],
        pad_token_id=0,
    )  # fmt: skip
    files = {
        "preprocessor_config": pictures, "chat_template": {"chat_template": _template("<image>")},
        "processor_config": {"image_seq_len": 4, "processor_class": "SmolVLMProcessor"},
    }  # fmt: skip
    _write(folder, files, "SmolVLMForConditionalGeneration", config)


def write_onevision(folder: Path) -> None:
    """LLaVA-OneVision."""
    ids = _write_tokenizer(folder, ["<image>", "<video>"])
    grid = [[16, 16], [16, 32], [32, 16], [32, 32]]
    pictures = {
        "image_grid_pinpoints": grid, "size": {"height": 16, "width": 16}, **_HALF, "do_pad": True,
        "image_processor_type": "LlavaOnevisionImageProcessor", "processor_class": "LlavaOnevisionProcessor",
    }  # fmt: skip
    config = transformers.LlavaOnevisionConfig(
        text_config={**_TEXT, "model_type": "qwen2", "vocab_size": len(ids)},
        vision_config={
            **_VISION, "model_type": "siglip_vision_model", "image_size": 16, "patch_size": 8, "vision_use_head": False,
        },
        image_token_id=ids["<image>"], video_token_id=ids["<video>"], image_grid_pinpoints=grid,
        vision_feature_select_strategy="full", vision_feature_layer=-1,
    )  # fmt: skip
    files = {
        "preprocessor_config": pictures, "chat_template": {"chat_template": _template("<image>")},
        "processor_config": {
            "num_image_tokens": 4, "vision_feature_select_strategy": "full", "image_token": "<image>",
            "video_token": "<video>", "processor_class": "LlavaOnevisionProcessor",
        },
    }  # fmt: skip
    _write(folder, files, "LlavaOnevisionForConditionalGeneration", config)


FAMILIES: dict[str, Callable[[Path], None]] = {
    "qwen": write_qwen, "smolvlm": write_smolvlm, "onevision": write_onevision,
}  # fmt: skip
