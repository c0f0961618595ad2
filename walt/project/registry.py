"""The one declaration of each stage. The command line, ``dvc.yaml`` and the Prefect tasks are made from it.

Plain data: importing this module imports no stage. A stage is ``run(config, paths) -> Result`` in
``walt/stages/<module>.py``, where ``config`` has the sections named in ``params`` (see ``walt.project.params``).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """What a stage is called, what it reads and what it makes.

    Attributes:
        name: as on the command line and in DVC: ``train-base``.
        summary: one line, shown by ``walt --help``.
        params: the top-level keys of ``params.yaml`` that the stage depends on.
        settings: keys it reads that change how it runs but not what it makes: DVC does not watch them.
        inputs: artefacts it reads, by their names in ``walt.core.paths``.
        outputs: artefacts it makes.
        sources: paths outside the artefact table, given as DVC templates of parameters.
        persist: outputs stay in place before a rerun (the stage itself keeps only what is still valid).
        gpus: accelerators the stage can use; on a machine without one it runs on the processor.
    """

    name: str
    summary: str
    params: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    persist: bool = False
    gpus: int = 0

    @property
    def module(self) -> str:
        """The dotted name of the module that holds ``run``."""
        return f"walt.stages.{self.name.replace('-', '_')}"


TRANSFORMERS = ("base", "aspect", "sr_2x", "sr_4x")
"""Artefacts: all transformers, in the order of the cascade."""

STAGES: tuple[Stage, ...] = (
    Stage(
        name="ingest",
        summary="Videos and images -> clips in WebDataset tars, a manifest and tables of what was refused.",
        params=("dataset", "ingest"),
        settings=("compute",),
        inputs=(),
        sources=("${dataset.descriptor}", "${dataset.path}", "datasets/classes"),
        outputs=("clips", "manifest", "rejects", "clip_rejects"),
        persist=True,
    ),
    Stage(
        name="train-autoencoder",
        summary="Train the causal autoencoder on the clips, and measure its latents' mean and std.",
        params=("seed", "autoencoder", "train_autoencoder"),
        settings=("compute", "tracking"),
        inputs=("clips",),
        outputs=("autoencoder",),
        gpus=1,
    ),
    Stage(
        name="encode-text",
        summary="Captions -> T5 embeddings, in tars; classes, in a table.",
        params=("seed", "text"),
        settings=("compute",),
        inputs=("manifest",),
        outputs=("text", "text_encoder"),
        persist=True,
        gpus=1,
    ),
    Stage(
        name="encode-video",
        summary="Clips -> normalised latents, one tar per clip tar, same keys.",
        params=("encode_video",),
        settings=("compute",),
        inputs=("clips", "autoencoder"),
        outputs=("latents",),
        persist=True,
        gpus=1,
    ),
    Stage(
        name="train-base",
        summary="Train the base transformer on latents and text.",
        params=("seed", "diffusion", "base", "train_base"),
        settings=("compute", "tracking"),
        inputs=("latents", "text"),
        outputs=("base",),
        gpus=1,
    ),
    Stage(
        name="finetune-aspect",
        summary="Finetune the base transformer to another shape of pictures.",
        params=("seed", "diffusion", "aspect", "finetune_aspect"),
        settings=("compute", "tracking"),
        inputs=("latents", "text", "base"),
        outputs=("aspect",),
        gpus=1,
    ),
    Stage(
        name="train-sr-2x",
        summary="Train the first super-resolution transformer on pairs of latents.",
        params=("seed", "diffusion", "sr_2x", "train_sr_2x"),
        settings=("compute", "tracking"),
        inputs=("latents", "text"),
        outputs=("sr_2x",),
        gpus=1,
    ),
    Stage(
        name="train-sr-4x",
        summary="Train the second super-resolution transformer, to 4 times the base's side.",
        params=("seed", "diffusion", "sr_4x", "train_sr_4x"),
        settings=("compute", "tracking"),
        inputs=("latents", "text"),
        outputs=("sr_4x",),
        gpus=1,
    ),
    Stage(
        name="sample",
        summary="Prompts -> videos: base, then super-resolution; mp4 and frame grids.",
        params=("seed", "dataset", "encode_video", "diffusion", "sample"),
        settings=("compute",),
        inputs=("clips", "manifest", "autoencoder", "text_encoder", *TRANSFORMERS),
        sources=("${dataset.descriptor}",),
        outputs=("samples",),
        gpus=1,
    ),
    Stage(
        name="evaluate",
        summary="Held-out loss, Frechet distance and prompt adherence of the samples.",
        params=("seed", "diffusion", "dataset", "evaluate"),
        settings=("compute", "tracking"),
        inputs=("clips", "manifest", "latents", "text", "autoencoder", *TRANSFORMERS, "samples"),
        sources=("${dataset.descriptor}",),
        outputs=("evaluation",),
        gpus=1,
    ),
    Stage(
        name="report",
        summary="One self-contained HTML page of the whole run.",
        params=("dataset", "report"),
        inputs=("clips", "manifest", "rejects", "autoencoder", *TRANSFORMERS, "samples", "evaluation"),
        sources=("${dataset.descriptor}",),
        outputs=("report",),
    ),
)

STAGE_NAMES: tuple[str, ...] = tuple(stage.name for stage in STAGES)


def get_stage(name: str) -> Stage:
    """The stage of that name. Raises KeyError."""
    return {stage.name: stage for stage in STAGES}[name]


def stages_needed_for(name: str) -> tuple[Stage, ...]:
    """The stage and everything it needs, in the order in which they run."""
    needed = {name}
    for stage in reversed(STAGES):
        if stage.name in needed:
            needed |= {other.name for other in STAGES if set(other.outputs) & set(stage.inputs)}
    return tuple(stage for stage in STAGES if stage.name in needed)
