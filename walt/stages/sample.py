"""Prompts -> videos: base, then super-resolution; mp4 and rows of frames for each, and an overview of all.

``results/samples`` holds ``00000.mp4`` and ``00000.png`` ... (the final videos), the same under ``base/`` where a
cascade follows the base model, each without loss in a folder ``lossless`` beside it, ``grid.png``, and
``samples.json``: the files, prompt, seed, settings and models of each. What a person asks for, ``walt sample`` makes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle, islice, product
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from walt.core.compute import ComputeConfig
from walt.core.config import Section, load_section
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.log import ProgressBar, warning
from walt.core.paths import Paths
from walt.core.ranks import ranks
from walt.core.sizes import Size
from walt.core.storage import atomic_directory, write_bytes, write_json
from walt.data import shapes
from walt.data.caption_choice import check_names
from walt.data.clip_dataset import ClipDataset
from walt.data.manifest import caption_names, iterate_columns
from walt.diffusion.config import DiffusionConfig
from walt.ingest.config import DatasetConfig, Descriptor
from walt.media.images import png_bytes
from walt.media.lossless import encode_lossless
from walt.nn.collectives import gather, gather_bytes
from walt.nn.device import computed_in, select_device
from walt.nn.pretrained import load_config
from walt.project.encode_video_config import EncodeVideoConfig
from walt.project.trained_transformers import cascade
from walt.sampling.config import SampleConfig
from walt.sampling.output import overview, to_frames, write_sample
from walt.sampling.prompt_inputs import Prompt, check_prompts, describe_prompt, notes_on_prompts
from walt.sampling.prompt_to_video import Beginning, Pipeline, SampleBatch
from walt.sampling.proportions import in_proportion
from walt.sampling.samples import BASE_FOLDER, LOSSLESS_FOLDER, OVERVIEW, SAMPLES
from walt.sampling.sets import seed_of_set
from walt.sampling.stored_prompts import captions, classes, clips_of_beginnings, none_held_out, said_of_beginnings
from walt.transformer.config import TransformerConfig

STAGE = "sample"
_IN_OVERVIEW = 64


class Config(Section):
    """What the registry declares for ``sample``."""

    seed: int
    diffusion: DiffusionConfig
    dataset: DatasetConfig
    encode_video: EncodeVideoConfig
    sample: SampleConfig
    compute: ComputeConfig


def run(config: Config, paths: Paths) -> dict[str, Any]:
    """Make the videos that ``sample`` asks for.

    Raises:
        ConfigurationError: the dataset does not have the prompts of ``sample.prompts``, or the model does not take
            them.
        StorageError, CorruptArtifactError: a model is missing or damaged.
    """
    models = [load_config(folder, TransformerConfig) for folder in cascade(paths, config.sample.cascade).values()]
    architecture = models[0]
    unconditional = "" if architecture.conditioning == "text" else None
    prompts = choose_prompts(config, paths, architecture.num_classes, unconditional, [one.resolution for one in models])
    check_prompts(prompts, architecture)
    pipeline = load_pipeline(config.sample, config.encode_video, config.diffusion, config.compute, paths)
    for note in notes_on_prompts(prompts, pipeline.text_encoder):
        warning(note)
    beginnings = Beginnings(config.sample, config.seed, paths, pipeline)
    made_in = {"arithmetic": computed_in(pipeline.device, config.sample.precision)}
    paths.samples.parent.mkdir(parents=True, exist_ok=True)
    with _shared_folder(paths.samples) as folder:
        own: list[dict[str, Any]] = []
        frames: dict[str, Tensor] = {}
        for start, batch in generate(pipeline, prompts, config.seed, config.sample, beginnings):
            for offset in range(len(batch.prompts)):
                entry = _write(folder, start + offset, len(prompts), batch, offset, config, pipeline.versions)
                own.append(entry | made_in | beginnings.said(entry["index"]))
                if start + offset < _IN_OVERVIEW:
                    frames[str(start + offset)] = torch.from_numpy(to_frames(batch.videos[offset]))
        samples = sorted((sample for part in gather(own) for sample in part), key=itemgetter("repeat", "index"))
        for part in gather_bytes(save(frames)):
            frames |= load(part)
        videos = [frames[str(number)].numpy() for number in range(len(frames))]
        if ranks().is_first:
            captions = list(map(describe_prompt, islice(cycle(prompts), len(videos))))
            write_bytes(folder / OVERVIEW, png_bytes(overview(videos, captions)))
            write_json(folder / SAMPLES, samples)
    return {"videos": len(samples), "steps": config.sample.steps, "size": "x".join(map(str, videos[0].shape[1:3]))}


@contextmanager
def _shared_folder(path: Path) -> Iterator[Path]:
    """A temporary folder in which every rank writes; the first one puts it in the place of ``path`` at the end."""
    if ranks().is_first:
        with atomic_directory(path) as folder:
            gather(str(folder))
            yield folder
    else:
        yield Path(gather("")[0])


def choose_prompts(
    config: Config,
    paths: Paths,
    num_classes: int | None = None,
    unconditional: Prompt = None,
    sizes: Sequence[Size] = (),
) -> list[Prompt]:
    """The prompts of a set in the order of the videos. Held-out captions and classes are those of clips that ``seed``
    draws where there are more (``walt.data.clip_draw``). They are repeated, with other noise, until there are enough;
    where no held-out video has a caption, those of the training videos are used, with a warning. Where videos begin as
    held-out clips do, held-out prompts are the captions or classes of those same clips.

    Args:
        num_classes: of the base model, where it is conditioned on classes.
        unconditional: the base model's prompt without a condition.
        sizes: what each model makes, (height, width) in pixels; clips that give first frames are stored in all of them.

    Raises:
        ConfigurationError: the list is empty, or the dataset has no such prompts.
    """
    chosen, count = config.sample.prompts, config.sample.count
    if isinstance(chosen, tuple):
        if not chosen:
            raise ConfigurationError("sample.prompts: the list is empty")
        return list(chosen)
    if chosen == "none":
        return [unconditional] * count
    if chosen in ("classes", "training_classes"):
        if num_classes is None:
            raise ConfigurationError(f"sample.prompts is {chosen}, but base.conditioning is not class")
        every = chosen == "classes"
        return list(islice(cycle(range(num_classes)), count)) if every else _training_classes(paths.manifest, count)
    if chosen == "adherence":
        descriptor = load_section(paths.resolve(config.dataset.descriptor), Descriptor)
        if descriptor.adherence is None:
            raise ConfigurationError(
                f"sample.prompts is adherence, but {config.dataset.descriptor} has none: give a list, or held_out"
            )
        return list(shapes.prompts(count, config.seed))
    wanted = config.sample.caption
    if wanted is not None:
        check_names([wanted], caption_names(paths.manifest), "sample.caption")
    if config.sample.beginning != "none":
        said = said_of_beginnings(paths.manifest, num_classes, count, sizes, wanted, config.seed)
        return list(islice(cycle(said), count))
    if num_classes is not None:
        return list(islice(cycle(classes(paths.manifest, count, config.seed)), count))
    found = captions(paths.manifest, "held_out", count, wanted, config.seed)
    if not found:
        found = captions(paths.manifest, "train", count, wanted, config.seed)
        if not found:
            raise ConfigurationError("sample.prompts is held_out, but no video has a caption: give a list")
        warning(
            "sample.prompts is held_out, but no held-out video has a caption: the prompts are captions that the "
            "models were trained on, so the samples may show memorised videos"
        )
    return list(islice(cycle(found), count))


def _training_classes(manifest: Path, count: int) -> list[Prompt]:
    clips = Counter(label for split, label in iterate_columns(manifest, "split", "label") if split == "train")
    del clips[None]
    if not clips:
        raise ConfigurationError("sample.prompts is training_classes, but no training clip has a class")
    return [*in_proportion(clips, count)]


def load_pipeline(
    sample: SampleConfig,
    encoding: EncodeVideoConfig,
    diffusion: DiffusionConfig,
    compute: ComputeConfig,
    paths: Paths,
    *,
    root: Path | None = None,
    device: str | None = None,
) -> Pipeline:
    """The models of the project. Raises as ``Pipeline.load``.

    Args:
        root: what a text encoder's relative folder is relative to; by default the root of ``paths``.
        device: by default what ``compute.device`` says.
    """
    return Pipeline.load(
        text_encoder=paths.text_encoder,
        autoencoder=paths.autoencoder,
        normalized=encoding.normalize_latents,
        transformers=cascade(paths, super_resolution=sample.cascade),
        diffusion=diffusion,
        device=device or select_device(compute.device),
        root=root or paths.root,
        megapixels=compute.megapixels_at_once,
    )


class Beginnings:
    """The first frames of held-out clips, where ``sample.beginning`` asks for them: video i begins as the i-th clip
    does that ``seed`` draws (``walt.data.clip_draw``), of those that are stored in the size of each model.

    Raises:
        ConfigurationError: there is no held-out video, or the models cannot begin with given frames.
        CorruptArtifactError: the manifest has a clip that is not among the stored ones.
    """

    def __init__(self, config: SampleConfig, seed: int, paths: Paths, pipeline: Pipeline) -> None:
        self.count = {"none": 0, "image": 1, "video": pipeline.overlap}[config.beginning]
        if not self.count:
            return
        pipeline.check_beginning()
        sizes = pipeline.resolutions(config.cascade)
        self.clips = [ClipDataset(paths.clips, size, "held_out") for size in sizes]
        self.keys = clips_of_beginnings(paths.manifest, sizes, seed)
        if not self.keys:
            raise ConfigurationError(f"sample.beginning is {config.beginning}, but {none_held_out(sizes)}")
        for clips in self.clips:
            if missing := set(self.keys) - set(clips.video_keys):
                said = f"{clips.reader.directory}: it does not have the clip {min(missing)}, which {paths.manifest} has"
                raise CorruptArtifactError(f"{said}: run `walt ingest` again")

    def of(self, videos: Sequence[int]) -> Beginning | None:
        """The beginnings of the videos with these numbers."""
        if not self.count:
            return None
        keys = [self.said(number)["begins_as"] for number in videos]
        return Beginning(tuple(clips.frames(keys, [0] * len(keys), self.count) for clips in self.clips))

    def said(self, number: int) -> dict[str, str]:
        """For a video's entry of ``samples.json``: the clip that it begins as; nothing where it begins as none."""
        return {"begins_as": self.keys[number % len(self.keys)]} if self.count else {}


def generate(
    pipeline: Pipeline, prompts: Sequence[Prompt], seed: int, config: SampleConfig, beginnings: Beginnings
) -> Iterator[tuple[int, SampleBatch]]:
    """(number of the first video, videos), batch by batch, with a progress bar over model evaluations.

    One set of all prompts after the other, each with its own noise. Each rank makes its share of the batches: whole
    ones, since another batch size could change a video by rounding.
    """
    evaluations = config.steps * (1 + len(pipeline.followers(config.cascade)))
    starts = ranks().share(list(product(range(config.repeats), range(0, len(prompts), config.batch_size))))
    videos = sum(len(prompts[start : start + config.batch_size]) for _, start in starts)
    with ProgressBar(STAGE, total=videos * evaluations, unit="model steps") as bar:
        for repeat, start in starts:
            batch = prompts[start : start + config.batch_size]
            indices = range(start, start + len(batch))
            given = beginnings.of(indices)
            of_set = seed_of_set(seed, repeat)
            made = pipeline(batch, of_set, config, indices=indices, beginning=given, progress=bar.advance)
            yield repeat * len(prompts) + start, made


def _write(
    folder: Path,
    number: int,
    of_a_set: int,
    batch: SampleBatch,
    offset: int,
    config: Config,
    versions: Mapping[str, str],
) -> dict[str, Any]:
    """Write one sample's files; its entry of ``samples.json``. ``of_a_set``: videos of each set."""
    name, fps = f"{number:05d}", config.sample.fps
    repeat, index = divmod(number, of_a_set)
    about = {
        "prompt": describe_prompt(batch.prompts[offset]), "seed": config.seed, "repeat": repeat, "index": index,
        "settings": model_settings(config.sample), "models": dict(versions),
    }  # fmt: skip
    files: dict[str, str | None] = {}
    for kind, videos, place in (("", batch.videos, ""), ("base_", batch.base_videos, f"{BASE_FOLDER}/")):
        files |= {f"{kind}file": None, f"{kind}lossless_file": None}
        if videos is not None:
            frames, lossless = to_frames(videos[offset]), f"{place}{LOSSLESS_FOLDER}/{name}.mp4"
            write_sample(folder / place, name, frames, fps, about)
            data = encode_lossless(frames, fps)
            write_bytes(folder / lossless, data)
            files |= {f"{kind}file": f"{place}{name}.mp4", f"{kind}lossless_file": lossless}
            files[f"{kind}lossless_sha256"] = hashlib.sha256(data).hexdigest()
    return {**files, **about}


def model_settings(config: SampleConfig) -> dict[str, Any]:
    """The settings that a video depends on, as its metadata has them."""
    return config.model_dump(mode="json", exclude={"prompts", "count", "repeats", "batch_size"})
