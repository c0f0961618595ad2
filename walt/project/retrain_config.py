"""Section ``retrain``: when a retraining is worth it, and how it goes on from the release with the alias."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from walt.core.config import Section

Share = Annotated[float, Field(gt=0.0, le=1.0)]


class RetrainConfig(Section):
    """The ``retrain`` section. New clips are clips of the training split that the release with the alias, and the last
    challenger that lost against it, were not trained on."""

    new_clips: PositiveInt
    """So many new clips begin a retraining."""
    new_share: Share | None
    """So does this share of the clips that the release was trained on, where that is fewer; null: the number alone."""
    steps: PositiveInt
    """Steps of each transformer, from the release's weights; more than any of their ``warmup_steps``. A finetuned one
    (``finetune_aspect``) begins from the new base model and keeps its own number."""
    freeze_autoencoder: bool
    """Whether the release's autoencoder is kept, so that new clips only add latents. False: it is trained as
    ``train_autoencoder`` says, and everything is encoded again."""

    def wanted(self, trained_on: int) -> int:
        """How many new clips begin a retraining of a release that was trained on so many."""
        if self.new_share is None:
            return self.new_clips
        return max(1, min(self.new_clips, round(self.new_share * trained_on)))
