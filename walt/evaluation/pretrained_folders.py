"""Networks of transformers from a local folder, by whose features clips are compared: VideoMAE, and CLIP by frames.

``model.safetensors`` is known by its SHA-256. ``preprocessor_config.json`` may give the mean and the standard deviation
of an image's channels, for pixels in [0, 1]; without it they are those with which the published networks were trained.
Frames are resized by antialiased bicubic interpolation, as these networks' own processors do it: the shorter side to
that of the network's square, and the middle is seen; both sides where the file says ``do_center_crop: false``.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from walt.core.digests import sha256_file, sha256_json
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.storage import read_json
from walt.evaluation.extractors import Extractor
from walt.text.plain import PlainText

WEIGHTS = "model.safetensors"
_PREPROCESSOR = "preprocessor_config.json"
_TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
"""Files of which a tokenizer is made: those of one of these."""
_RESIZE = "the middle of each frame"
"""How frames are brought to the network: numbers of features that were found in another way are not compared."""
_OF_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_OF_CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


class _FromFolder(Extractor):
    """A frozen network, and how frames are brought to it.

    Args:
        settings: where folder and digest were named, for messages.

    Raises:
        ConfigurationError: there is no such folder, or no complete network with safetensors weights in it.
        CorruptArtifactError: the SHA-256 of its weights differs; they are not opened then.
    """

    mean: Tensor
    std: Tensor
    side: int

    def __init__(self, path: str | Path, sha256: str, settings: tuple[str, str]) -> None:
        super().__init__()
        folder = Path(path)
        if not (folder / WEIGHTS).is_file():
            raise ConfigurationError(f"{settings[0]}: no {WEIGHTS} in '{path}'")
        if sha256_file(folder / WEIGHTS) != sha256:
            raise CorruptArtifactError(f"{folder / WEIGHTS}: its sha256 is not {settings[1]}")
        self.network = _load(self._class(), folder, settings[0])
        given = read_json(folder / _PREPROCESSOR) if (folder / _PREPROCESSOR).is_file() else {}
        for name, values in zip(("mean", "std"), self._pixels(), strict=True):
            found = given.get(f"image_{name}", list(values))
            if not (isinstance(found, list) and len(found) == 3 and all(isinstance(it, float | int) for it in found)):
                raise ConfigurationError(
                    f"{settings[0]}: image_{name} in '{folder / _PREPROCESSOR}' is not of 3 channels"
                )
            self.register_buffer(name, torch.tensor(found, dtype=torch.float32).view(1, 3, 1, 1))
        self._middle = bool(given.get("do_center_crop", True))
        files = sorted(file for file in folder.iterdir() if file.suffix in (".json", ".txt"))
        self.digest = sha256_json([sha256, {file.name: sha256_file(file) for file in files}, _RESIZE])

    @staticmethod
    @abstractmethod
    def _class() -> Any:
        """Of transformers."""

    @staticmethod
    @abstractmethod
    def _pixels() -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation of the pixels' channels, where the folder does not say them."""

    def _frames(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) in [-1, 1] -> (B T, 3, side, side), normalised."""
        frames, side = clips.transpose(1, 2).flatten(0, 1), self.side
        height, width = frames.shape[-2:]
        shorter = min(height, width)
        size = (side * height // shorter, side * width // shorter) if self._middle else (side, side)
        if (height, width) != size:
            frames = F.interpolate(frames, size, mode="bicubic", antialias=True).clamp(-1.0, 1.0)
        top, left = (size[0] - side) // 2, (size[1] - side) // 2
        frames = frames[..., top : top + side, left : left + side]
        return ((frames + 1.0) / 2.0 - self.mean) / self.std


class VideoMAEFeatures(_FromFolder):
    """The mean of the last layer's tokens of a VideoMAE (Tong et al., arXiv 2203.12602)."""

    def __init__(self, path: str | Path, sha256: str, settings: tuple[str, str]) -> None:
        super().__init__(path, sha256, settings)
        config: Any = self.network.config
        self.side, self.num_frames, self.num_features = config.image_size, config.num_frames, config.hidden_size

    @staticmethod
    def _class() -> Any:
        from transformers import VideoMAEModel

        return VideoMAEModel

    @staticmethod
    def _pixels() -> tuple[tuple[float, ...], tuple[float, ...]]:
        return _OF_IMAGENET

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) in [-1, 1] -> (B, D), of as many frames as it was made for, evenly over the clip.

        Raises:
            ValueError: T is smaller.
        """
        length = clips.shape[2]
        if length < self.num_frames:
            raise ValueError(f"it needs {self.num_frames} frames")
        chosen = torch.linspace(0, length - 1, self.num_frames).round().long()
        frames = self._frames(clips[:, :, chosen])
        frames = frames.reshape(len(clips), self.num_frames, *frames.shape[1:])
        tokens: Tensor = self.network(frames).last_hidden_state  # (B, tokens, D)
        return tokens.mean(dim=1)


class CLIPFeatures(_FromFolder):
    """The mean of a CLIP's frame embeddings, each of length 1 (Radford et al., arXiv 2103.00020)."""

    def __init__(self, path: str | Path, sha256: str, settings: tuple[str, str]) -> None:
        super().__init__(path, sha256, settings)
        config: Any = self.network.config
        self.side, self.num_features = config.vision_config.image_size, config.projection_dim
        self._folder, self._setting = Path(path), settings[0]
        self._tokenizer: Any = None

    @staticmethod
    def _class() -> Any:
        from transformers import CLIPModel

        return CLIPModel

    @staticmethod
    def _pixels() -> tuple[tuple[float, ...], tuple[float, ...]]:
        return _OF_CLIP

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) in [-1, 1] -> (B, D)."""
        embeddings: Tensor = F.normalize(self.network.get_image_features(self._frames(clips)).pooler_output, dim=-1)
        return embeddings.reshape(len(clips), -1, embeddings.shape[-1]).mean(dim=1)

    @torch.inference_mode()
    def similarity(self, clip: Tensor, text: str) -> float:
        """The cosine of a text and the frames of a clip (3, T, H, W) in [-1, 1], averaged over the frames (CLIPSIM of
        Wu et al., arXiv 2104.14806), -1 to 1. A text that is too long is cut.

        Raises:
            ConfigurationError: the folder has no tokenizer.
        """
        if self._tokenizer is None:
            self._tokenizer = self._open_tokenizer()
        text = PlainText(self._tokenizer)(text)
        tokens = self._tokenizer(text, return_tensors="pt", truncation=True, max_length=self._length)
        found = self.network.get_text_features(**tokens.to(self.mean.device)).pooler_output
        of_clip = self(clip[None].to(self.mean.device))  # the mean of cosines is the product with the mean
        return float((F.normalize(found, dim=-1) * of_clip).sum())

    def _open_tokenizer(self) -> Any:
        from transformers import CLIPTokenizer

        # without these files transformers gives a tokenizer of two tokens, to which all words are the same
        if not any(all((self._folder / name).is_file() for name in names) for names in _TOKENIZERS):
            needed = " or ".join(" and ".join(names) for names in _TOKENIZERS)
            raise ConfigurationError(f"{self._setting}: no tokenizer in '{self._folder}', which is {needed}")
        return _load(CLIPTokenizer, self._folder, self._setting)

    @property
    def _length(self) -> int:
        config: Any = self.network.config
        return int(config.text_config.max_position_embeddings)


def _load(kind: Any, folder: Path, setting: str) -> Any:
    """From the folder alone, never from elsewhere."""
    options = {} if "Tokenizer" in kind.__name__ else {"use_safetensors": True, "output_loading_info": True}
    try:
        found = kind.from_pretrained(str(folder), local_files_only=True, **options)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigurationError(f"{setting}: no {kind.__name__} in '{folder}': {reason}") from error
    if not options:
        return found
    network, info = found
    if info["missing_keys"]:
        raise ConfigurationError(f"{setting}: no weights of {sorted(info['missing_keys'])[0]} in '{folder}'")
    return network.eval().requires_grad_(False)
