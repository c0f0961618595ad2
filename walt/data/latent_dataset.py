"""Stored latents as tensors, by key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from walt.core.sizes import Size
from walt.data.clip_table import Split
from walt.data.key_index import ids_of
from walt.data.keyed_dataset import Form, KeyedDataset, TensorReader, batch_tensor, distinct, in_threads, rows_of


class LatentDataset(KeyedDataset):
    """Stored, normalised latents of one size and split. Raises as ``ClipDataset`` does.

    They are read from the tars each time: what was read lately is in the system's memory anyway.

    Args:
        pinned: batches are in memory from which a GPU copies without a detour.
    """

    def __init__(self, latents_dir: Path, size: Size, split: Split, pinned: bool = False) -> None:
        super().__init__(latents_dir, size, split)
        self.pinned = pinned
        self._tensors = TensorReader(self.reader, "latents", "latents")
        self._forms: dict[str, Form] = {}

    def latents(self, keys: Sequence[str], dtype: torch.dtype | None = torch.float32) -> Tensor:
        """(B, c, t, h, w); all keys of one kind. Videos have t > 1, images t = 1.

        Args:
            dtype: of the result; None: as they are stored.

        Raises:
            KeyError: a key is not in this split.
            CorruptArtifactError: a latent is missing, not finite or not float16, or has another shape than the others
                of its kind.
        """
        ids = ids_of(keys)
        kind = self.kind(ids)
        members, forms = self._tensors.members(keys, ids)
        for place in distinct(forms):
            self._check(keys[place], kind, forms[place])
        first = forms[0]
        as_stored = dtype is None or dtype == first.dtype
        batch = batch_tensor((len(keys), *first.shape), first.dtype, self.pinned and as_stored)
        rows = rows_of(batch)

        def fill(start: int, stop: int) -> None:
            self._tensors.read(members.part(start, stop), forms[start:stop], lambda place, _: rows[place], first=start)

        in_threads(len(keys), batch.nbytes, fill)
        if dtype is None or as_stored:
            return batch
        return batch_tensor(batch.shape, dtype, self.pinned).copy_(batch)

    def _check(self, key: str, kind: str, form: Form) -> None:
        """Raise CorruptArtifactError unless a latent is as the first of its kind was."""
        if form.dtype != torch.float16:
            raise self.corrupt(key, f"latents of {form.dtype}, not of float16")
        first = self._forms.setdefault(kind, form)
        same = (form.shape, form.dtype) == (first.shape, first.dtype)
        if not same or len(form.shape) != 4 or (kind == "image" and form.shape[1] != 1):
            shown = f"latents of a {kind} shaped {form.shape} of {form.dtype}"
            raise self.corrupt(key, f"{shown}, others have {first.shape} of {first.dtype}")
