"""``walt compare``: several models make videos of the same prompts from the same noise, for one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from walt.commands.compare.compare_page import Column, page
from walt.core.config import parse_section
from walt.core.errors import ConfigurationError
from walt.core.log import ProgressBar, info
from walt.core.paths import ARTIFACTS, Paths
from walt.core.storage import write_bytes
from walt.nn.device import select_device
from walt.nn.pretrained import load_config
from walt.project.in_process import stage_config
from walt.project.params import Params
from walt.project.registry import get_stage
from walt.project.runner import load_params
from walt.project.trained_transformers import making_videos_of
from walt.sampling.config import SampleConfig
from walt.sampling.output import Video, to_frames
from walt.sampling.prompt_inputs import Prompt, check_prompts, describe_prompt
from walt.sampling.prompt_to_video import Pipeline
from walt.stages import sample
from walt.tracking.compared import Compared, find_compared
from walt.tracking.runs import start_run
from walt.transformer.config import TransformerConfig

STAGE = "compare"


@dataclass(frozen=True)
class Request:
    """The arguments of ``walt compare``."""

    models: tuple[str, ...]
    prompts: tuple[str, ...] = ()
    videos: int = 4
    seed: int | None = None
    steps: int | None = None
    out: Path = Path("results/compare.html")


def run(request: Request, root: Path) -> Path:
    """Make the page and log it to MLflow; returns its place.

    Raises:
        ConfigurationError: fewer than two models, one that there is not, or prompts that a model does not take; before
            any video is made.
        StorageError, CorruptArtifactError: a model cannot be fetched, is missing or damaged.
    """
    if len(request.models) < 2:
        raise ConfigurationError("one model: name two or more, such as `walt compare walt-base@champion walt-base/3`")
    params, paths = load_params(root), Paths(root.resolve())
    out = root / request.out
    _check_place(out, root)
    settings = _settings(request, params)
    keep = paths.work(STAGE) / "fetched"
    sides = [find_compared(params.tracking, paths, given, keep) for given in request.models]
    prompts = _prompts(request, params, paths, sides)
    seed = params.seed if request.seed is None else request.seed
    columns = [_column(side, prompts, seed, settings, params, paths) for side in sides]
    shown = list(map(describe_prompt, prompts))
    html = page(columns, shown, seed, settings.fps, {"steps": settings.steps, "guidance": settings.guidance_scale})
    write_bytes(out, html.encode())
    info(f"{out}")
    about = {"models": {str(place): column.label for place, column in enumerate(columns)}, "seed": seed}
    tags = {f"release.{place}": column.release for place, column in enumerate(columns) if column.release}
    with start_run(
        params.tracking, paths.root, STAGE, {**about, "sample": settings.model_dump(mode="json")}, tags
    ) as log:
        log.log_artifact(out)
        if log.address:
            info(f"{log.address}/artifacts")
        elif log.run_id:
            info(f"in MLflow: the run {log.run_id}, under Artifacts (`walt mlflow` shows it)")
    return out


def _check_place(out: Path, root: Path) -> None:
    for artifact in ARTIFACTS.values():
        place = (root / artifact).resolve()
        if out.resolve() == place or place in out.resolve().parents:
            raise ConfigurationError(f"--out: {artifact} belongs to a stage; choose another place")


def _settings(request: Request, params: Params) -> SampleConfig:
    """The ``sample`` section: no given first frames, and the steps that are asked for."""
    if request.steps is not None and request.steps > params.diffusion.num_steps:
        raise ConfigurationError(
            f"--steps: {request.steps} is more than diffusion.num_steps {params.diffusion.num_steps}"
        )
    changes = {"beginning": "none", **({} if request.steps is None else {"steps": request.steps})}
    return parse_section(params.sample.model_dump(mode="json") | changes, SampleConfig, "command line")


def _prompts(request: Request, params: Params, paths: Paths, sides: Sequence[Compared]) -> list[Prompt]:
    """Those given, or the first of the stage ``sample``, which all models must take."""
    firsts = [next(iter(making_videos_of(side.folders).values())) for side in sides]
    architectures = [load_config(folder, TransformerConfig) for folder in firsts]
    first = architectures[0]
    prompts: list[Prompt] = list(request.prompts)
    if not prompts:
        config: Any = stage_config(get_stage("sample"), sample, params)
        unconditional = "" if first.conditioning == "text" else None
        prompts = sample.choose_prompts(config, paths, first.num_classes, unconditional)[: request.videos]
    for architecture in architectures:
        check_prompts(prompts, architecture)
    return prompts


def _column(
    side: Compared, prompts: Sequence[Prompt], seed: int, settings: SampleConfig, params: Params, paths: Paths
) -> Column:
    """One model's videos. A video's noise is a function of the seed and its number: the same for all models whose
    latents have the same shape."""
    transformers = making_videos_of(side.folders)
    own = settings.model_copy(update={"cascade": settings.cascade and len(transformers) > 1})
    if not own.cascade:
        transformers = dict([next(iter(transformers.items()))])
    pipeline = Pipeline.load(
        text_encoder=side.folders.get("text-encoder", paths.text_encoder),
        autoencoder=side.folders["autoencoder"],
        normalized=params.encode_video.normalize_latents,
        transformers=transformers,
        diffusion=params.diffusion,
        device=select_device(params.compute.device),
        root=paths.root,
        megapixels=params.compute.megapixels_at_once,
    )
    videos: list[Video] = []
    evaluations = own.steps * (1 + len(pipeline.followers(own.cascade)))
    with ProgressBar(side.label, total=len(prompts) * evaluations, unit="model steps") as bar:
        for start in range(0, len(prompts), own.batch_size):
            batch = prompts[start : start + own.batch_size]
            indices = range(start, start + len(batch))
            made = pipeline(batch, seed, own, indices=indices, progress=bar.advance)
            videos += [to_frames(video) for video in made.videos]
    configs = {name: load_config(folder, TransformerConfig) for name, folder in transformers.items()}
    return Column.of(side, videos, configs)
