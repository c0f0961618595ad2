"""The table of the transformers: their names in parameters, stages, artefacts and pages. Plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Transformer:
    """One transformer of the cascade.

    Attributes:
        name: its section of ``params.yaml``, and its artefact in ``walt.core.paths``.
        stage: the stage that trains it; its training section has the same name, with underscores.
        title: its name on pages.
        summary: one line about its stage.
        folder: where its stage publishes it, under the project's root.
        starts_from: the transformer whose weights it starts from; None: they are initialised at random.
        super_resolution: whether it follows another transformer, at a multiple of its resolution.
    """

    name: str
    stage: str
    title: str
    summary: str
    folder: str
    starts_from: str | None = None
    super_resolution: bool = False

    @property
    def training(self) -> str:
        """The section of ``params.yaml`` for its training."""
        return self.stage.replace("-", "_")

    @property
    def version_name(self) -> str:
        """Its name in the registry of model versions, where names have dashes."""
        return self.name.replace("_", "-")


TRANSFORMERS: tuple[Transformer, ...] = (
    Transformer(
        name="base",
        stage="train-base",
        title="Base transformer",
        summary="Train the base transformer on latents and text.",
        folder="models/base",
    ),
    Transformer(
        name="aspect",
        stage="finetune-aspect",
        title="Base transformer, finetuned to its shape",
        summary="Finetune the base transformer to another shape of pictures.",
        folder="models/aspect",
        starts_from="base",
    ),
    Transformer(
        name="sr_2x",
        stage="train-sr-2x",
        title="Super-resolution 2x",
        summary="Train the first super-resolution transformer on pairs of latents.",
        folder="models/sr-2x",
        super_resolution=True,
    ),
    Transformer(
        name="sr_4x",
        stage="train-sr-4x",
        title="Super-resolution 4x",
        summary="Train the second super-resolution transformer, to 4 times the base's side.",
        folder="models/sr-4x",
        super_resolution=True,
    ),
)
"""All transformers, in the order of the cascade: each super-resolution model follows the one before it."""

TRANSFORMER_NAMES: tuple[str, ...] = tuple(transformer.name for transformer in TRANSFORMERS)
SUPER_RESOLUTION_NAMES: tuple[str, ...] = tuple(entry.name for entry in TRANSFORMERS if entry.super_resolution)


def get_transformer(name: str) -> Transformer:
    """The transformer of that name. Raises KeyError."""
    return {transformer.name: transformer for transformer in TRANSFORMERS}[name]
