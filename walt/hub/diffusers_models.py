"""The models and the sampling as classes of diffusers: this module and what it uses of ``walt`` travels in each
exported folder (``walt.hub.own_code``), so that diffusers loads it where there is no ``walt``.

A component each: ``transformer``, ``super_resolution``, ``super_resolution_2``, ``vae``, ``scheduler``; the text
encoder and its tokenizer are as transformers saves them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from diffusers import ConfigMixin, DiffusionPipeline, ModelMixin, SchedulerMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils.outputs import BaseOutput
from torch import Tensor

from walt.autoencoder.config import AutoencoderConfig
from walt.autoencoder.diffusers_vae import DiffusersAutoencoder
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.statistics import LatentStatistics
from walt.core.errors import ConfigurationError
from walt.diffusion.config import DiffusionConfig
from walt.diffusion.schedule import Schedule
from walt.hub.diffusers_inputs import (
    as_output,
    check_names,
    check_numbers,
    check_precision,
    start_of,
)
from walt.nn.causal import use_channels_last
from walt.nn.own_memory import as_torch_allocates
from walt.sampling.aspect import parse_aspect, with_aspect
from walt.sampling.config import SampleConfig
from walt.sampling.long_video import parts_for, video_parts
from walt.sampling.prompt_inputs import Prompt
from walt.sampling.prompt_to_video import Beginning, Pipeline
from walt.text.encoder import TextEncoder
from walt.transformer.config import SuperResolutionConfig, TransformerConfig
from walt.transformer.model import WaltTransformer


def as_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON has them, with tuples for lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


class WholeModel(ModelMixin):  # type: ignore[misc]
    """A model that is loaded with all of its weights or not at all; diffusers leaves weights that a file lacks as they
    were drawn, and does without those that a class has no place for."""

    @classmethod
    def from_pretrained(cls, source: Any, **options: Any) -> Any:
        """As diffusers'. Raises ValueError where the file's weights are not those of the configuration."""
        wanted = options.pop("output_loading_info", False)
        model, found = super().from_pretrained(source, output_loading_info=True, **options)
        for kind in ("missing", "unexpected"):
            if names := sorted(found[f"{kind}_keys"]):
                raise ValueError(f"{cls.__name__}: {kind} weights, such as {names[0]}: not those of its configuration")
        return (model, found) if wanted else model


class WaltTransformerModel(WholeModel, ConfigMixin):  # type: ignore[misc]
    """A W.A.L.T transformer; ``architecture`` is the ``config.json`` of the model in a project."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, architecture: dict[str, Any]) -> None:
        super().__init__()
        values = as_settings(architecture)
        if values["super_resolution"] is not None:
            values["super_resolution"] = SuperResolutionConfig(**values["super_resolution"])
        self.model = WaltTransformer(TransformerConfig(**values))

    def forward(self, *inputs: Any, **conditions: Any) -> Tensor:
        """As ``WaltTransformer.forward``."""
        output: Tensor = self.model(*inputs, **conditions)
        return output


class WaltAutoencoder(WholeModel, ConfigMixin):  # type: ignore[misc]
    """The causal autoencoder with its latents' mean and standard deviation; ``architecture`` as above."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, architecture: dict[str, Any], statistics: dict[str, Any], normalize: bool) -> None:
        super().__init__()
        self.model = CausalAutoencoder(AutoencoderConfig(**as_settings(architecture)))
        self.statistics = LatentStatistics.from_json(statistics)
        self.normalize = normalize

    def latent_statistics(self, device: str) -> LatentStatistics:
        """What the transformers' latents are normalised with."""
        if not self.normalize:
            return LatentStatistics.identity(self.model.config.latent_channels).to(device)
        return self.statistics.to(device)

    def encode(self, video: Tensor) -> Tensor:
        """(B, 3, 1+T, H, W) in [-1, 1] -> normalised latents (B, c, 1+t, h, w)."""
        return self.latent_statistics(str(video.device)).normalize(self.model.encode(video)[0])

    def decode(self, latents: Tensor) -> Tensor:
        """The inverse, not clamped."""
        return self.model.decode(self.latent_statistics(str(latents.device)).denormalize(latents))


class WaltScheduler(SchedulerMixin, ConfigMixin):  # type: ignore[misc]
    """The noise schedule of the training; the steps of DDIM are taken in the pipeline."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self, num_steps: int, beta_start: float, beta_end: float, zero_terminal_snr: bool, prediction: Any
    ) -> None:
        self.schedule = Schedule.from_config(
            DiffusionConfig(
                num_steps=num_steps, beta_start=beta_start, beta_end=beta_end, zero_terminal_snr=zero_terminal_snr,
                prediction=prediction,
            )
        )  # fmt: skip


class WaltOutput(BaseOutput):  # type: ignore[misc]
    """``frames``: of each video its pictures (``pil``), or uint8 arrays (T, H, W, 3) (``np``), or tensors
    (3, T, H, W) in [-1, 1] (``pt``)."""

    frames: Any


class WaltPipeline(DiffusionPipeline):  # type: ignore[misc]
    """Prompts to videos, the same to the byte as ``walt sample`` makes them on the same device and libraries.

    Args:
        sampling: ``settings``, the project's ``sample`` section, which gives what a call leaves out; ``max_tokens`` of
            the text; ``megapixels_at_once`` of the decoding; ``trained_on_images``, the transformers that were;
            ``vocabulary``, how many pieces of words the tokenizer has; ``latents``, where the autoencoder is one of
            diffusers: our ``architecture`` and ``statistics`` of it.
    """

    config: Any
    transformer: Any
    super_resolution: Any
    super_resolution_2: Any
    vae: Any
    scheduler: Any
    text_encoder: Any
    tokenizer: Any
    _execution_device: torch.device
    _optional_components: ClassVar[list[str]] = ["text_encoder", "tokenizer", "super_resolution", "super_resolution_2"]

    def __init__(
        self, transformer: Any, vae: Any, scheduler: Any, text_encoder: Any, tokenizer: Any, super_resolution: Any,
        super_resolution_2: Any, sampling: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.register_modules(
            transformer=transformer, vae=vae, scheduler=scheduler, text_encoder=text_encoder, tokenizer=tokenizer,
            super_resolution=super_resolution, super_resolution_2=super_resolution_2,
        )  # fmt: skip
        self.register_to_config(sampling=sampling)

    @torch.inference_mode()
    def __call__(
        self,
        prompt: Prompt | Sequence[Prompt] = None,
        *,
        seed: int = 0,
        generator: torch.Generator | None = None,
        num_videos_per_prompt: int = 1,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        frame_guidance_scale: float | None = None,
        guidance_rescale: float | None = None,
        guidance_schedule: str | None = None,
        cascade: bool | None = None,
        image: Any = None,
        video: Any = None,
        num_frames: int | None = None,
        aspect: str | None = None,
        stills: bool = False,
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> WaltOutput | tuple[Any]:
        """Make videos, those of a prompt with consecutive seeds.

        Args:
            prompt: texts, or for models of classes numbers; None for models that take neither.
            seed: of the first video of each prompt; with ``generator`` it is that one's.
            num_inference_steps: steps; these, the guidance and the cascade are by default the project's.
            frame_guidance_scale: by default ``guidance_scale``.
            guidance_schedule: ``constant`` or ``power_cosine``.
            image: the first frame, for models of frame prediction: a picture of PIL, or (H, W, 3) uint8.
            video: to go on from, for such models: pictures of PIL, or (T, H, W, 3) uint8, at the models' frame rate.
                It comes back before what is added.
            num_frames: least length; with ``video``, of what is added; by default of one part.
            aspect: another shape, ``width:height``, such as ``9:16``; the nearest that the models can make.
            stills: single pictures, videos of one frame, of models that were trained on images too.
            output_type: ``pil``, ``np`` or ``pt``.

        Raises:
            ConfigurationError: the models take no such prompts, no first frames, or make no such shape or stills.
            ValueError: an unknown ``output_type``, pictures that are none, or arguments that exclude each other.
        """
        check_names(output_type, guidance_schedule)
        check_numbers(guidance_scale=guidance_scale, frame_guidance_scale=frame_guidance_scale)
        check_numbers(num_frames=num_frames, num_videos_per_prompt=num_videos_per_prompt)
        settings = self._settings(
            steps=num_inference_steps, guidance_scale=guidance_scale, cascade=cascade,
            frame_guidance_scale=guidance_scale if frame_guidance_scale is None else frame_guidance_scale,
            guidance_schedule=guidance_schedule, guidance_rescale=guidance_rescale,
        )  # fmt: skip
        pipeline, first = self.sampling_pipeline(), seed if generator is None else generator.initial_seed()
        prompts: Any = prompt if isinstance(prompt, list | tuple) else [prompt]
        jobs = [(one, first + number) for one in prompts for number in range(num_videos_per_prompt)]
        if stills:
            self._check_stills(settings.cascade, image, video, num_frames)
        if aspect is not None:
            pipeline = with_aspect(pipeline, parse_aspect(aspect))
        start = start_of(pipeline, settings.cascade, image, video)
        videos = self._videos(pipeline, jobs, settings, start, num_frames, stills)
        output = WaltOutput(frames=[as_output(one, output_type) for one in videos])
        return output if return_dict else (output.frames,)

    def _videos(
        self, pipeline: Pipeline, jobs: Sequence[tuple[Prompt, int]], settings: SampleConfig,
        start: tuple[list[Tensor], Beginning | None], num_frames: int | None, stills: bool,
    ) -> list[Tensor]:  # fmt: skip
        """Of each prompt with its seed, (3, T, H, W) in [-1, 1]; ``start`` as ``start_of`` returns it."""
        shown, beginning = start
        parts = 1 if num_frames is None else parts_for(pipeline, num_frames, beginning, settings.cascade)
        evaluations = parts * settings.steps * (1 + len(pipeline.followers(settings.cascade)))
        videos: list[Tensor] = []
        with self.progress_bar(total=len(jobs) * evaluations) as bar:
            for first_job in range(0, len(jobs), settings.batch_size):
                batch = jobs[first_job : first_job + settings.batch_size]
                made = video_parts(
                    pipeline, [one for one, _ in batch], [number for _, number in batch], settings, parts=parts,
                    beginning=beginning, stills=stills, progress=bar.update,
                )  # fmt: skip
                whole = torch.cat([*(frames.expand(len(batch), -1, -1, -1, -1) for frames in shown), *made], dim=2)
                videos += list(whole)
        return videos

    def save_pretrained(self, *_: Any, **__: Any) -> None:
        """Raises NotImplementedError: what diffusers would save lacks the code, and could not be loaded."""
        raise NotImplementedError("diffusers saves no code of a model's own: copy the folder that it was loaded from")

    @torch.inference_mode(False)  # tensors made in that mode are products of other code paths than walt's own weights
    def sampling_pipeline(self) -> Pipeline:
        """The models as ``walt`` samples from them.

        Raises:
            ValueError: a part is not as it was exported.
        """
        names = ("transformer", "super_resolution", "super_resolution_2", "vae")
        models = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        check_precision(models)
        for model in models.values():
            as_torch_allocates(model)
        if self.tokenizer is not None and len(self.tokenizer) != self.config.sampling["vocabulary"]:
            raise ValueError(
                f"tokenizer: {len(self.tokenizer)} pieces of words, not {self.config.sampling['vocabulary']}"
            )
        encoder, device = None, str(self._execution_device)
        if self.text_encoder is not None:
            tokens = self.config.sampling["max_tokens"]
            encoder = TextEncoder("text_encoder", self.text_encoder, self.tokenizer, tokens, {}, digest="")
        following = [model for model in (self.super_resolution, self.super_resolution_2) if model is not None]
        autoencoder, statistics = self._autoencoder(device)
        return Pipeline(
            encoder, self.transformer.model, tuple(model.model for model in following), autoencoder, statistics,
            self.scheduler.schedule, device, {}, self.config.sampling["megapixels_at_once"],
        )  # fmt: skip

    def _autoencoder(self, device: str) -> tuple[CausalAutoencoder, LatentStatistics]:
        """Ours, or one of diffusers with the statistics that are among this pipeline's settings."""
        latents = self.config.sampling["latents"]
        if latents is None:
            use_channels_last(self.vae.model)  # diffusers has put other tensors in the place of those that were made so
            return self.vae.model, self.vae.latent_statistics(device)
        config = AutoencoderConfig(**as_settings(latents["architecture"]))
        statistics = LatentStatistics.from_json(latents["statistics"])
        if not latents["normalize"]:
            statistics = LatentStatistics.identity(config.latent_channels)
        return DiffusersAutoencoder(config, self.vae), statistics.to(device)

    def _check_stills(self, cascade: bool, image: Any, video: Any, num_frames: int | None) -> None:
        """Raise ValueError for arguments of videos, ConfigurationError where a model that takes part saw no images in
        training."""
        of_videos = {"image": image, "video": video, "num_frames": num_frames}
        if given := [name for name, value in of_videos.items() if value is not None]:
            raise ValueError(f"stills: {given[0]} is for videos")
        names = ("transformer", *(("super_resolution", "super_resolution_2") if cascade else ()))
        for name in names:
            if getattr(self, name) is not None and name not in self.config.sampling["trained_on_images"]:
                raise ConfigurationError(f"stills: {name} was trained on videos only")

    def _settings(self, **asked: Any) -> SampleConfig:
        given = {name: value for name, value in asked.items() if value is not None}
        return SampleConfig(**as_settings({**self.config.sampling["settings"], **given}))
