"""The one declaration of each stage. The command line, ``dvc.yaml`` and the Prefect tasks are made from it.

Plain data: importing this module imports no stage. A stage is ``run(config, paths) -> figures`` in
``walt/stages/<module>.py``, where ``config`` has the sections named in ``params`` (see ``walt.project.params``). The
stages that train a transformer share a module, ``run(config, paths, transformer)``.
"""

from __future__ import annotations

from dataclasses import dataclass

from walt.core.transformers import TRANSFORMER_NAMES, TRANSFORMERS, Transformer


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
        persist: outputs stay in place before a rerun: the stage itself keeps only what is still valid, or replaces them
            as a whole when the new ones are ready (models).
        gpus: accelerators the stage can use; on a machine without one it runs on the processor.
        transformer: which one it trains, for ``walt.stages.train_transformer``; None for the other stages, each of
            which is a module of its own.
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
    transformer: Transformer | None = None

    @property
    def module(self) -> str:
        """The dotted name of the module that holds ``run``."""
        own = "train_transformer" if self.transformer else self.name.replace("-", "_")
        return f"walt.stages.{own}"

    @property
    def resumes(self) -> bool:
        """Whether it trains: from checkpoints, so that the user may choose what becomes of them."""
        return "resume" in self.settings


def _training_stage(transformer: Transformer) -> Stage:
    """The stage that trains a transformer: one module trains them all."""
    first_weights = () if transformer.starts_from is None else (transformer.starts_from,)
    return Stage(
        name=transformer.stage,
        summary=transformer.summary,
        params=("seed", "diffusion", transformer.name, transformer.training),
        settings=("compute", "tracking", "resume"),
        inputs=("latents", "text", *first_weights),
        outputs=(transformer.name,),
        persist=True,
        gpus=1,
        transformer=transformer,
    )


STAGES: tuple[Stage, ...] = (
    Stage(
        name="ingest",
        summary="Videos and images -> clips in WebDataset tars, a manifest and tables of what was refused.",
        params=("dataset", "ingest"),
        settings=("compute",),
        inputs=(),
        sources=(
            "${dataset.descriptor}",
            "${dataset.path}",
            "datasets/classes",
            "datasets/annotations",
            "datasets/takedowns",
        ),
        outputs=("clips", "manifest", "rejects", "clip_rejects"),
        persist=True,
    ),
    Stage(
        name="train-autoencoder",
        summary="Train the causal autoencoder on the clips, and measure its latents' mean and std.",
        params=("seed", "autoencoder", "train_autoencoder"),
        settings=("compute", "tracking", "resume"),
        inputs=("clips",),
        outputs=("autoencoder",),
        persist=True,
        gpus=1,
    ),
    Stage(
        name="caption",
        summary="Captions for clips without one, by a vision-language model, and corrections by people.",
        params=("seed", "caption"),
        settings=("compute",),
        inputs=("clips", "manifest"),
        sources=("datasets/captions",),
        outputs=("captions",),
        persist=True,
        gpus=1,
    ),
    Stage(
        name="encode-text",
        summary="Captions -> T5 embeddings, in tars; classes, in a table.",
        params=("seed", "text"),
        settings=("compute", "tracking"),
        inputs=("manifest", "captions"),
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
    *(_training_stage(transformer) for transformer in TRANSFORMERS),
    Stage(
        name="sample",
        summary="Prompts -> videos: base, then super-resolution; mp4 and frame grids.",
        params=("seed", "dataset", "encode_video", "diffusion", "sample"),
        settings=("compute",),
        inputs=("clips", "manifest", "captions", "autoencoder", "text_encoder", *TRANSFORMER_NAMES),
        sources=("${dataset.descriptor}",),
        outputs=("samples",),
        gpus=1,
    ),
    Stage(
        name="evaluate",
        summary="Held-out loss, Frechet distance and prompt adherence of the samples.",
        params=("seed", "diffusion", "dataset", "evaluate"),
        settings=("compute", "tracking"),
        inputs=(
            *("clips", "manifest", "latents", "text", "text_encoder", "autoencoder"),
            *(*TRANSFORMER_NAMES, "samples"),
        ),
        sources=("${dataset.descriptor}",),
        outputs=("evaluation", "metrics"),
        gpus=1,
    ),
    Stage(
        name="report",
        summary="One self-contained HTML page of the whole run.",
        params=("dataset", "report"),
        inputs=("clips", "manifest", "captions", "rejects", "autoencoder", *TRANSFORMER_NAMES, "samples", "evaluation"),
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
