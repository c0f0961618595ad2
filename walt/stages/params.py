"""The whole of ``params.yaml``: the union of the rooms' sections.

Stages do not import this module: each gets the sections it declares, so that a new knob in one room leaves the code
dependencies of the others alone.
"""

from __future__ import annotations

from pydantic import model_validator

from walt.autoencoder.config import AutoencoderConfig
from walt.core.compute import ComputeConfig
from walt.core.config import Section
from walt.data.config import DatasetConfig, IngestConfig
from walt.diffusion.config import DiffusionConfig
from walt.evaluation.config import EvaluateConfig
from walt.sampling.config import SampleConfig
from walt.stages.settings import EncodeVideoConfig, ReportConfig
from walt.text.config import TextConfig
from walt.tracking.config import PromotionConfig, TrackingConfig
from walt.training.config import AutoencoderTrainingConfig, DiffusionTrainingConfig
from walt.transformer.config import TransformerConfig


class Params(Section):
    """``params.yaml``, read with ``walt.core.config.load_section``."""

    seed: int
    dataset: DatasetConfig
    ingest: IngestConfig
    autoencoder: AutoencoderConfig
    train_autoencoder: AutoencoderTrainingConfig
    text: TextConfig
    encode_video: EncodeVideoConfig
    diffusion: DiffusionConfig
    base: TransformerConfig
    train_base: DiffusionTrainingConfig
    sr_2x: TransformerConfig
    train_sr_2x: DiffusionTrainingConfig
    sample: SampleConfig
    evaluate: EvaluateConfig
    report: ReportConfig
    tracking: TrackingConfig
    promotion: PromotionConfig
    compute: ComputeConfig

    @model_validator(mode="after")
    def _check_that_rooms_fit(self) -> Params:
        """What one section promises and another relies on; errors name both keys."""
        frames = 1 + (self.ingest.num_frames - 1) // self.autoencoder.temporal_factor
        factor = self.autoencoder.spatial_factor
        for name, model in (("base", self.base), ("sr_2x", self.sr_2x)):
            height, width = model.resolution
            expected = {
                "latent_grid": (frames, height // factor, width // factor),
                "latent_channels": self.autoencoder.latent_channels,
            }
            for key, value in expected.items():
                if getattr(model, key) != value:
                    raise ValueError(f"{name}.{key} is {getattr(model, key)}, but the autoencoder makes {value}")
            if model.resolution not in self.ingest.sizes:
                raise ValueError(f"{name}.resolution {model.resolution} is not one of ingest.sizes {self.ingest.sizes}")
            if self.text.encoder == "tiny" and model.text_width != self.text.tiny.width:
                raise ValueError(
                    f"{name}.text_width is {model.text_width}, but text.tiny.width is {self.text.tiny.width}"
                )
        if self.base.super_resolution is not None or self.sr_2x.super_resolution is None:
            raise ValueError("super_resolution must be null in base and set in sr_2x")
        for form in self.train_autoencoder.forms:
            if form.size not in self.ingest.sizes:
                raise ValueError(f"train_autoencoder.forms: size {form.size} is not one of ingest.sizes")
            if form.num_frames > self.ingest.num_frames or form.num_frames % 4 != 1:
                raise ValueError(f"train_autoencoder.forms: num_frames {form.num_frames} is not 1 + 4k within a clip")
        return self
