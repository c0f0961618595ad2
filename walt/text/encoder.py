"""Captions to T5 embeddings, through transformers: the only door to it.

An encoder is described by a folder with ``encoder.json``: ``{source, digest, max_tokens, width, files}``. ``source`` is
``tiny`` (weights and tokenizer are in the same folder, see ``walt.text.tiny``), a local folder, or a hub name.
``digest`` covers every weight and the tokenizer, so that embeddings of different encoders are never mixed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer, T5EncoderModel
from transformers.utils import logging as transformers_logging

from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.core.own_digest import read_json_with_digest, write_json_with_digest
from walt.core.paths import located
from walt.nn.own_memory import as_torch_allocates
from walt.text.pickled_weights import has_only_pickled
from walt.text.plain import PlainText

DESCRIPTION = "encoder.json"
TINY = "tiny"
TINY_FOLDER = "t5"
"""Folder of the tiny encoder's weights and tokenizer, below the folder of ``encoder.json``."""

LARGE_PARAMETERS = 500_000_000  # bf16 from here on: T5-XL is 2.3 GiB then, and 4.6 GiB in fp32


TOKENS_AT_ONCE = 1024
"""Rows times length of a call of the model in ``encode_each``: enough for a large T5 to be busy on a GPU."""
_SHORTEST_PADDED = 8
_WORD_BEGINS = "\u2581"  # what SentencePiece writes for a space


def _padded_length(num_tokens: int, max_tokens: int) -> int:
    """8, 16, 32 ... tokens, at most ``max_tokens``: what a caption is padded to."""
    return min(max_tokens, max(_SHORTEST_PADDED, 1 << (num_tokens - 1).bit_length()))


@dataclass(frozen=True)
class Reading:
    """How a tokenizer reads a caption."""

    tokens: int
    """With the end mark."""
    unknown: tuple[str, ...]
    """What the vocabulary lacks, piece by piece; each becomes the same token: T5's has no Chinese, and no Cyrillic."""


class TextEncoder:
    """A frozen T5 encoder with its tokenizer.

    Attributes:
        source: ``tiny``, a folder or a hub name, as configured.
        max_tokens: L, tokens per caption, with the end mark; longer captions are cut.
        width: D of the embeddings.
        digest: hex SHA-256 of weights and tokenizer.
        files: hex SHA-256 of each file that its folder has beside large weights; of a hub's none.

    Args:
        digest: where it is known; None: it is taken of the weights now.
    """

    def __init__(
        self,
        source: str,
        model: T5EncoderModel,
        tokenizer: Any,
        max_tokens: int,
        files: Mapping[str, str],
        digest: str | None = None,
    ) -> None:
        self.source, self.max_tokens, self.files = source, max_tokens, dict(files)
        as_torch_allocates(model)
        self.width: int = model.config.d_model
        self.digest = _digest(model, tokenizer) if digest is None else digest
        self._model, self._tokenizer, self._plain = model, tokenizer, PlainText(tokenizer)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self._model.device
        return device

    @torch.no_grad()
    def encode(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Embeddings (B, L, D) float32, zero where padded, and their mask (B, L) bool; the empty caption has one token.

        Raises:
            CorruptArtifactError: the encoder makes values that are not finite.
        """
        tokens = self._tokenizer(
            [self._plain(caption) for caption in captions],
            padding="max_length",
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        )
        ids, mask = (
            tokens["input_ids"].to(self.device),
            tokens["attention_mask"].to(self.device),
        )  # (B, L)
        hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state  # (B, L, D)
        mask = mask.bool()
        embeddings = hidden.float().masked_fill(~mask[..., None], 0.0)
        if not embeddings.isfinite().all():
            raise CorruptArtifactError(f"text encoder {self.source}: an embedding is not finite")
        return embeddings, mask

    @torch.no_grad()
    def encode_each(self, captions: Sequence[str]) -> list[Tensor]:
        """Of each caption its embeddings (n, D) float32 without padding, n its tokens with the end mark, at most L.

        The bits for a caption depend on nothing but the caption: in fp32, another number of rows or another padding
        gives other last bits, so each call of the model has the shape that the caption's own number of tokens gives.
        Rows that are left are filled with empty captions.

        Raises:
            CorruptArtifactError: the encoder makes values that are not finite.
        """
        if not captions:
            return []
        texts = [self._plain(caption) for caption in captions]
        ids: list[list[int]] = self._tokenizer(texts, truncation=True, max_length=self.max_tokens)["input_ids"]
        found: dict[int, Tensor] = {}
        by_length: dict[int, list[int]] = {}
        for place, own in enumerate(ids):
            by_length.setdefault(_padded_length(len(own), self.max_tokens), []).append(place)
        empty: list[int] = self._tokenizer("")["input_ids"]
        for length, places in by_length.items():
            rows = max(1, TOKENS_AT_ONCE // length)
            for first in range(0, len(places), rows):
                some = places[first : first + rows]
                tokens = [*(ids[place] for place in some), *[empty] * (rows - len(some))]
                hidden = self._hidden(tokens, length)  # (rows, length, D)
                found |= {place: hidden[row, : len(ids[place])] for row, place in enumerate(some)}
        return [found[place] for place in range(len(ids))]

    def _hidden(self, tokens: Sequence[list[int]], length: int) -> Tensor:
        """The model's output for captions that are padded to one length: (rows, length, D) float32 on the CPU."""
        ids = torch.full((len(tokens), length), self._tokenizer.pad_token_id)
        for row, own in enumerate(tokens):
            ids[row, : len(own)] = torch.tensor(own)
        mask = torch.arange(length) < torch.tensor([[len(own)] for own in tokens])  # (rows, length)
        hidden = self._model(input_ids=ids.to(self.device), attention_mask=mask.to(self.device, torch.int64))
        embeddings: Tensor = hidden.last_hidden_state.float().cpu()
        if not embeddings[mask].isfinite().all():
            raise CorruptArtifactError(f"text encoder {self.source}: an embedding is not finite")
        return embeddings

    def readings(self, captions: Sequence[str]) -> list[Reading]:
        """How each caption is read, were it not cut."""
        if not captions:
            return []
        texts = [self._plain(caption) for caption in captions]
        ids = self._tokenizer(texts, truncation=False, verbose=False)["input_ids"]  # quiet about long ones
        return [Reading(len(one), self._unknown(text, one)) for text, one in zip(texts, ids, strict=True)]

    def _unknown(self, text: str, ids: Sequence[int]) -> tuple[str, ...]:
        unknown = self._tokenizer.unk_token_id
        if unknown not in ids:
            return ()
        pieces: list[str] = self._tokenizer.tokenize(text)
        places: list[int] = self._tokenizer.convert_tokens_to_ids(pieces)
        return tuple(
            piece.removeprefix(_WORD_BEGINS) for piece, own in zip(pieces, places, strict=True) if own == unknown
        )

    def tokens(self, caption: str) -> list[str]:
        """The pieces of a caption, readable for people."""
        pieces: list[str] = self._tokenizer.tokenize(self._plain(caption))
        return pieces

    def describe(self, folder: Path) -> None:
        """Write ``encoder.json`` into ``folder``."""
        fields = {
            "source": self.source,
            "digest": self.digest,
            "max_tokens": self.max_tokens,
            "width": self.width,
            "files": self.files,
        }
        write_json_with_digest(folder / DESCRIPTION, fields)


def load_text_encoder(folder: str | Path, device: torch.device | str, root: str | Path = ".") -> TextEncoder:
    """Load the encoder that ``folder/encoder.json`` describes; a local source is relative to ``root``.

    Raises:
        CorruptArtifactError: ``encoder.json`` differs from its own digest, or a file, the weights or the tokenizer from
            those that it names.
        ConfigurationError, StorageError: as ``open_text_encoder``.
    """
    folder = Path(folder)
    if not (folder / DESCRIPTION).is_file():
        raise StorageError(f"{folder / DESCRIPTION}: no such file; run encode-text first")
    description = checked_description(folder, Path(root))
    encoder = open_text_encoder(description["source"], description["max_tokens"], device, folder, root)
    if encoder.digest != description["digest"]:
        raise CorruptArtifactError(
            f"{folder}: the encoder '{encoder.source}' is not the one that encoder.json describes"
        )
    return encoder


def checked_description(folder: Path, root: Path) -> dict[str, Any]:
    """The content of ``folder/encoder.json``, after comparing the files that it names, without the digest of large
    weights, with their own. Raises CorruptArtifactError; FileNotFoundError where there is none."""
    description, _ = read_json_with_digest(folder / DESCRIPTION)
    try:
        name, local = locate(description["source"], folder, root)
        named = dict(description.get("files", {}))
        int(description["max_tokens"]), str(description["digest"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptArtifactError(f"{folder / DESCRIPTION}: {type(error).__name__}: {error}") from error
    for file, digest in named.items() if local else ():
        path = Path(name) / file
        if not path.is_file() or sha256_file(path) != digest:
            raise CorruptArtifactError(f"{path}: it is not the file that {folder / DESCRIPTION} names")
    return description


def _digests(folder: Path, suffixes: Sequence[str]) -> dict[str, str]:
    """Hex SHA-256 by the name of each file in the folder with one of these suffixes."""
    return {file.name: sha256_file(file) for file in sorted(folder.iterdir()) if file.suffix in suffixes}


def open_text_encoder(
    source: str,
    max_tokens: int,
    device: torch.device | str,
    folder: str | Path,
    root: str | Path = ".",
) -> TextEncoder:
    """Open ``source``: ``tiny`` from ``folder``, else a local folder (relative to ``root``), else a hub name.

    Accepts encoder-only and encoder-decoder checkpoints. From 0.5 B parameters on, the weights are bf16.

    Raises:
        ConfigurationError: the folder is missing, does not hold a T5, or has no safetensors weights (pickles are
        refused). StorageError: the hub cannot be reached or does not have the model.
        CorruptArtifactError: weights are missing from the checkpoint.
    """
    hide_progress_bars()
    name, local = locate(source, Path(folder), Path(root))
    try:
        config = AutoConfig.from_pretrained(name, local_files_only=local)
        if config.model_type not in ("t5", "mt5", "umt5"):
            raise ConfigurationError(f"text.encoder: '{source}' is a {config.model_type} model, not a T5")
        tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=local)
        model, report = _load(name, local, _dtype(config))
    except (OSError, ValueError) as error:
        if local and has_only_pickled(Path(name)):
            raise ConfigurationError(
                f"text.encoder: '{source}' has pickled weights only, which may run code and are not read; "
                f"`walt convert-text-encoder {source}` makes safetensors of them"
            ) from error
        cause = str(error).strip().splitlines()[0]
        if not local and "safetensors" in cause:
            cause += "; pickled weights: fetch them into a folder, `walt convert-text-encoder` it, and name that folder"
        kind = ConfigurationError if local and source != TINY else StorageError
        raise kind(f"text.encoder: cannot open '{source}' with safetensors weights: {cause}") from error
    missing = sorted(set(report["missing_keys"]) - {"encoder.embed_tokens.weight"})  # tied to shared.weight
    if missing:
        raise CorruptArtifactError(
            f"text.encoder: '{source}' lacks the weight {missing[0]} (and {len(missing) - 1} more)"
        )
    suffixes = (".json", ".model", *((".safetensors",) if source == TINY else ()))
    files = _digests(Path(name), suffixes) if local else {}
    return TextEncoder(source, model.eval().requires_grad_(False).to(device), tokenizer, max_tokens, files)


def save_for_others(encoder: TextEncoder, weights: Path, tokenizer: Path) -> tuple[str, str]:
    """Write the encoder as transformers saves it, for transformers' own classes; returns their names.

    To be called before anything is encoded: the tokenizer remembers how it padded.

    Args:
        weights: folder of ``config.json`` and ``model.safetensors``.
        tokenizer: folder of the tokenizer's files.
    """
    hide_progress_bars()
    encoder._model.save_pretrained(weights)
    encoder._tokenizer.save_pretrained(tokenizer)
    return type(encoder._model).__name__, type(encoder._tokenizer).__name__


def hide_progress_bars() -> None:
    """Without transformers' own progress bar for each file."""
    untyped: Any = transformers_logging
    untyped.disable_progress_bar()


def locate(source: str, folder: Path, root: Path) -> tuple[str, bool]:
    """(what transformers is to open, whether it is a local folder).

    Raises:
        ConfigurationError: ``source`` can only be a folder, and there is none.
    """
    if source == TINY:
        return str(folder / TINY_FOLDER), True
    path = located(root, source)
    if path.is_dir():
        return str(path), True
    if source.startswith((".", "/", "~")) or source.count("/") > 1:  # a hub name is NAME or OWNER/NAME
        raise ConfigurationError(f"text.encoder: no folder '{source}'")
    return source, False


def _load(name: str, local: bool, dtype: torch.dtype) -> Any:
    """(model, report of missing and unexpected weights); typed loosely, as transformers' stubs know only the model."""
    return T5EncoderModel.from_pretrained(
        name, local_files_only=local, use_safetensors=True, dtype=dtype, output_loading_info=True
    )


def _dtype(config: Any) -> torch.dtype:
    """The number format in which the weights are held: decided only by how many there are."""
    with torch.device("meta"):
        parameters = int(T5EncoderModel(config).num_parameters())
    return torch.bfloat16 if parameters >= LARGE_PARAMETERS else torch.float32


def _digest(model: T5EncoderModel, tokenizer: Any) -> str:
    """Hex SHA-256 over the names, formats and values of the weights, and the tokenizer."""
    digest = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode())
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
