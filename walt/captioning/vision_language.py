"""A vision-language model of transformers that says what frames show.

Any model that ``AutoModelForImageTextToText`` loads and whose processor has a chat template
(https://huggingface.co/docs/transformers/tasks/image_text_to_text): the frames are given as images of one user message,
in their order, and the prompt as its text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText
from transformers.utils import logging as transformers_logging

from walt.captioning.config import CaptionConfig
from walt.captioning.processors import load_processor
from walt.core.errors import ConfigurationError
from walt.core.printable import printable
from walt.media.images import Clip
from walt.nn.device import computes_bf16


class VisionLanguageModel:
    """A frozen model with its processor.

    Attributes:
        digest: hex SHA-256 of weights and processor: of what decides an answer, besides the settings.
    """

    def __init__(self, config: CaptionConfig, device: str, root: Path) -> None:
        """Load the model.

        Raises:
            ConfigurationError: there is no such model, it is of another kind, its weights are pickled, or its processor
                has no chat template.
        """
        folder = root / config.model
        if not folder.is_dir() and (config.model.startswith(("/", ".", "~")) or config.model.count("/") > 1):
            raise ConfigurationError(f"caption.model: {printable(str(folder))}: no such folder")
        source = str(folder) if folder.is_dir() else config.model
        untyped: Any = transformers_logging
        untyped.disable_progress_bar()
        dtype = torch.bfloat16 if config.precision == "bf16" and computes_bf16(device) else torch.float32
        try:
            self._processor: Any = load_processor(source)
            model: Any = AutoModelForImageTextToText.from_pretrained(source, dtype=dtype, use_safetensors=True)
        except (OSError, ValueError, KeyError, ImportError) as error:
            said = printable(str(error).strip().splitlines()[0]) if str(error).strip() else type(error).__name__
            raise ConfigurationError(f"caption.model {printable(config.model)}: {said}") from None
        if getattr(self._processor, "chat_template", None) is None:
            raise ConfigurationError(
                f"caption.model {printable(config.model)}: its processor has no chat template: without one it is not "
                "known how it is asked"
            )
        self._model: Any = model.to(device).eval()
        self._config = config
        tokenizer = self._processor.tokenizer
        tokenizer.padding_side = "left"  # what is generated follows the last token
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.digest = _digest(self._model, self._processor)

    @torch.inference_mode()
    def answers(self, clips: Sequence[Clip], seed: int) -> list[str]:
        """What the model says of each clip (T, H, W, 3) uint8 RGB; ``seed`` counts where answers are drawn."""
        inputs = asked(self._processor, self._config, clips).to(self._model.device, self._model.dtype)
        drawn = self._config.temperature > 0
        options = {"do_sample": True, "temperature": self._config.temperature, "top_k": 0} if drawn else {}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            tokens = self._model.generate(
                **inputs, max_new_tokens=self._config.max_tokens, pad_token_id=self._processor.tokenizer.pad_token_id,
                **({"do_sample": False, "temperature": None, "top_p": None, "top_k": None} | options),
            )  # fmt: skip
        said: list[str] = self._processor.batch_decode(
            tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
        return said


def asked(processor: Any, config: CaptionConfig, clips: Sequence[Clip]) -> Any:
    """The question about each clip (T, H, W, 3) uint8 RGB, as the model's inputs: one row a clip."""
    messages = [[{"role": "user", "content": _content(clip, config)}] for clip in clips]
    return processor.apply_chat_template(
        messages,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",  # not among processor_kwargs, where SmolVLM's ignores it
        processor_kwargs={"padding": True},
    )


def _content(clip: Clip, config: CaptionConfig) -> list[dict[str, Any]]:
    images = [{"type": "image", "image": Image.fromarray(frame)} for frame in spread_frames(clip, config.frames)]
    return [*images, {"type": "text", "text": config.prompt}]


def spread_frames(clip: Clip, count: int) -> list[Clip]:
    """``count`` frames of a clip (T, H, W, 3), evenly spaced from the first to the last; all of a shorter one."""
    if len(clip) <= count:
        return list(clip)
    places = np.linspace(0, len(clip) - 1, count).round().astype(int) if count > 1 else [(len(clip) - 1) // 2]
    return [clip[place] for place in places]


def _digest(model: Any, processor: Any) -> str:
    found = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    for part in (processor.chat_template, processor.tokenizer.get_vocab(), processor.image_processor.to_dict()):
        found.update(repr(sorted(part.items(), key=str) if isinstance(part, dict) else part).encode())
    return found.hexdigest()
