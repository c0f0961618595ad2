"""``walt sample`` with options: the videos that a person asks for, into a folder of their own.

Not a stage of the pipeline: what it makes depends on the command line. Nothing is written into a stage's outputs. The
same arguments give the same bytes.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from pathlib import Path

from walt.commands.sample.models import find_models
from walt.commands.sample.videos import Job, Plan, Start
from walt.core.config import parse_section
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError
from walt.core.log import ProgressBar, info, warning
from walt.core.paths import ARTIFACTS, Paths
from walt.core.printable import printable
from walt.core.transformers import get_transformer
from walt.project.params import Params
from walt.project.trained_transformers import cascade
from walt.project.untrained_sampling import sampled_from, saw_images, untrained_sampling
from walt.sampling.aspect import parse_aspect, with_aspect
from walt.sampling.beginnings import read_image, read_video
from walt.sampling.config import SampleConfig
from walt.sampling.given_files import ReadFile, read_file
from walt.sampling.long_video import check_continuation, parts_for
from walt.sampling.output import SUFFIXES, Format, write_sample, write_still
from walt.sampling.prompt_inputs import Prompt, check_prompts, describe_prompt, notes_on_prompts
from walt.sampling.prompt_to_video import Pipeline
from walt.transformer.config import TransformerConfig

FOLDER = "samples"
"""Below the project's root, where no other folder is asked for."""
_LONGEST_NAME = 60  # characters of a prompt in a file's name


@dataclass(frozen=True)
class Request:
    """The options of ``walt sample``; what is left out is as ``params.yaml`` says."""

    model: str | None = None
    """Which models (``walt.commands.sample.models.find_models``); by default those of the project."""
    prompts: tuple[str, ...] = ()
    prompts_file: Path | None = None
    """One prompt per line."""
    classes: tuple[int, ...] = ()
    image: Path | None = None
    """The first frame."""
    continued: Path | None = None
    """A video to continue."""
    seconds: float | None = None
    """Least length; with a continued video, the least length that is added."""
    aspect: str | None = None
    """``width:height``."""
    seed: int | None = None
    """Seed of the first video of each prompt; the next ones have the next seeds."""
    count: int | None = None
    """Videos per prompt; by default one."""
    steps: int | None = None
    guidance: float | None = None
    frame_guidance: float | None = None
    guidance_schedule: str | None = None
    guidance_rescale: float | None = None
    cascade: bool | None = None
    stills: bool = False
    """Single pictures instead of videos."""
    formats: tuple[str, ...] = ()
    """Names of ``walt.sampling.output.SUFFIXES``; by default mp4 and grid."""
    out: Path | None = None


def load_project(root: str | Path, cascade: bool | None = None) -> tuple[Pipeline, SampleConfig]:
    """The models of the project at ``root``, and its ``sample`` section; ``cascade`` overrides that section's.

    Raises:
        ConfigurationError, StorageError, CorruptArtifactError: the parameters or a model are wrong or missing.
    """
    models = find_models(Path(root))
    settings = models.params.sample
    settings = settings if cascade is None else settings.model_copy(update={"cascade": cascade})
    return models.load(settings.cascade), settings


def run(request: Request, root: Path) -> list[Path]:
    """Generate what is asked for, and return the files.

    Raises:
        ConfigurationError: options that are wrong, or that the trained models do not support; before any work.
        StorageError, CorruptArtifactError: a model is missing or damaged.
    """
    models = find_models(root, request.model)
    settings, formats = settings_of(request, models.params), _formats(request)
    if request.stills:
        _check_stills(request, models.params, settings, models.paths)
    folder = _folder(request, root)
    plan = plan_of(request, models.params, models.load(settings.cascade))
    for note in plan.notes:
        warning(note)
    written = []
    with ProgressBar("sample", total=plan.evaluations, unit="model steps") as bar:
        for made in plan.make(bar.advance):
            if request.stills:
                written.append(write_still(folder, made.job.name, made.frames, made.about))
            else:
                written += write_sample(folder, made.job.name, made.frames, settings.fps, made.about, formats)
    for file in written:
        info(printable(str(file.relative_to(root) if file.is_relative_to(root) else file)))
    return written


def plan_of(request: Request, params: Params, pipeline: Pipeline, read: ReadFile = read_file) -> Plan:
    """The videos of a request, by these models; everything about it is checked, and nothing generated.

    Args:
        read: how a given file is read.

    Raises:
        ConfigurationError: options that are wrong, or that the models do not support.
    """
    settings = settings_of(request, params)
    prompts = _prompts(request, pipeline.base.config)
    notes = notes_on_prompts(prompts, pipeline.text_encoder)
    if request.aspect is not None:
        pipeline = with_aspect(pipeline, parse_aspect(request.aspect))
    begins = request.image is not None or request.continued is not None
    made_by = sampled_from(params.transformers(), settings.cascade)
    if problem := untrained_sampling(made_by, settings, begins):
        raise ConfigurationError(problem)
    start = _start(request, pipeline, settings, read)
    parts = _parts(request, pipeline, settings, start)
    seed = params.seed if request.seed is None else request.seed
    jobs = tuple(
        Job(prompt, seed + number, _name(request, prompt, seed + number))
        for prompt in prompts
        for number in range(1 if request.count is None else request.count)
    )
    return Plan(pipeline, settings, jobs, start, parts, notes, request.stills)


def settings_of(request: Request, params: Params) -> SampleConfig:
    """The ``sample`` section with the options in place of its values. Raises ConfigurationError."""
    asked = {
        "steps": request.steps,
        "guidance_scale": request.guidance,
        "frame_guidance_scale": request.guidance if request.frame_guidance is None else request.frame_guidance,
        "guidance_schedule": request.guidance_schedule,
        "guidance_rescale": request.guidance_rescale,
        "cascade": request.cascade,
    }
    asked = {key: value for key, value in asked.items() if value is not None}
    _check_numbers(request)
    most = params.diffusion.num_steps
    if request.steps is not None and request.steps > most:
        raise ConfigurationError(f"--steps: {request.steps} is more than diffusion.num_steps {most}")
    return parse_section(params.sample.model_dump(mode="json") | asked, SampleConfig, "command line")


def _check_numbers(request: Request) -> None:
    """Raise ConfigurationError, one line that names the option, for a number that makes no sense."""
    above_0 = {
        "count": request.count, "steps": request.steps, "seconds": request.seconds, "guidance": request.guidance,
        "frame-guidance": request.frame_guidance,
    }  # fmt: skip
    for option, value in above_0.items():
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ConfigurationError(f"--{option}: {value} is not a number above 0")
    for option, index in (("seed", request.seed), *(("class", index) for index in request.classes)):
        if index is not None and index < 0:
            raise ConfigurationError(f"--{option}: {index} is below 0")
    if request.guidance_rescale is not None and not 0 <= request.guidance_rescale <= 1:
        raise ConfigurationError(f"--guidance-rescale: {request.guidance_rescale} is not from 0 to 1")


def _check_stills(request: Request, params: Params, settings: SampleConfig, paths: Paths) -> None:
    """Raise ConfigurationError for options of videos, and where a model saw no images in training."""
    of_videos = {
        "image": request.image, "continue": request.continued, "seconds": request.seconds, "format": request.formats,
    }  # fmt: skip
    if given := [name for name, value in of_videos.items() if value]:
        raise ConfigurationError(f"--stills: --{given[0]} is for videos")
    for name, model in cascade(paths, settings.cascade).items():
        _, training = params.transformers()[name]
        if not training.image_fraction:
            section = get_transformer(name).training
            raise ConfigurationError(f"--stills: {section}.image_fraction is 0: {name} was trained on videos only")
        if not saw_images(model, training):
            raise ConfigurationError(f"--stills: no clip was an image when {name} was trained: it saw videos only")


def _formats(request: Request) -> list[Format]:
    if unknown := [name for name in request.formats if name not in SUFFIXES]:
        raise ConfigurationError(f"--format: '{unknown[0]}' is not one of {', '.join(SUFFIXES)}")
    return [name for name in SUFFIXES if name in (request.formats or ("mp4", "grid"))]


def _folder(request: Request, root: Path) -> Path:
    folder = root / FOLDER if request.out is None else request.out
    for artifact in ARTIFACTS.values():
        place = (root / artifact).resolve()
        if folder.resolve() == place or place in folder.resolve().parents:
            raise ConfigurationError(f"--out: {artifact} belongs to a stage; choose another folder")
    return folder


def _prompts(request: Request, config: TransformerConfig) -> list[Prompt]:
    """What to show, each once."""
    texts = list(request.prompts)
    if request.prompts_file is not None:
        texts += _lines(request.prompts_file)
    prompts: list[Prompt] = list(dict.fromkeys([*texts, *request.classes]))
    if not prompts and config.conditioning == "text" and (request.image or request.continued):
        return [""]
    if not prompts and config.conditioning == "none":
        return [None]
    if not prompts:
        options = {"text": "--prompt or --prompts-file", "class": "--class"}[config.conditioning]
        raise ConfigurationError(f"nothing to show: base.conditioning is {config.conditioning}, so give {options}")
    check_prompts(prompts, config)
    return prompts


def _lines(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "no UTF-8"
        raise ConfigurationError(f"--prompts-file: {printable(str(file))}: {cause}") from None
    prompts = [line.strip() for line in lines if line.strip()]
    if not prompts:
        raise ConfigurationError(f"--prompts-file: {printable(str(file))}: no prompt in it")
    return prompts


def _start(request: Request, pipeline: Pipeline, settings: SampleConfig, read: ReadFile) -> Start:
    """The frames that are given."""
    file = request.continued or request.image
    if file is None:
        return Start()
    if request.continued is not None and request.image is not None:
        raise ConfigurationError("--image and --continue both say how the video begins; give one")
    frames = None
    if request.continued is not None:
        check_continuation(pipeline, settings.cascade)
        frames, beginning = read_video(file, pipeline, settings.cascade, settings.fps, read)
    else:
        pipeline.check_beginning()
        beginning = read_image(file, pipeline, settings.cascade, read)
    return Start(frames, beginning, {"file": printable(file.name), "sha256": sha256_file(file)})


def _parts(request: Request, pipeline: Pipeline, settings: SampleConfig, start: Start) -> int:
    if request.seconds is None:
        return 1
    num_frames = math.ceil(round(request.seconds * settings.fps, 6))  # 0.7 x 10 is 7
    return parts_for(pipeline, num_frames, start.beginning, settings.cascade)


def _name(request: Request, prompt: Prompt, seed: int) -> str:
    """``a-red-circle-seed0``: the file that it continues, the prompt and the seed.

    Where the words alone do not identify a prompt (it is long, or has punctuation), part of its hash follows: so no two
    prompts share a name.
    """
    file = request.continued or request.image
    parts = [] if file is None else [_words(printable(file.stem))]
    text = describe_prompt(prompt)
    if text:
        words = _words(text)[:_LONGEST_NAME].strip("-")
        parts.append(words)
        if words.replace("-", " ") != text and not isinstance(prompt, int):
            parts.append(hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:6])
    return "-".join([*(part for part in parts if part), f"seed{seed}"])


def _words(text: str) -> str:
    return re.sub(r"[\W_]+", "-", text).strip("-")
