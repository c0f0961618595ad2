"""What a step of autoencoder training is: which clips in which form, and the losses of both models.

The autoencoder comes first; then the discriminator, where there is one, classifies the videos of the same step and
their reconstructions. Everything random is a function of (seed, step).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from walt.autoencoder.config import latent_shape
from walt.autoencoder.discriminator import Discriminator
from walt.autoencoder.losses import (
    LeCam,
    at_least_fp32,
    discriminator_loss,
    generator_loss,
    kl_loss,
    perceptual_loss,
    r1_penalty,
    reconstruction_loss,
    sample_posterior,
)
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.perceptual import PerceptualNetwork
from walt.core.errors import RejectLimitError
from walt.core.paths import Paths
from walt.core.ranks import ranks
from walt.core.sizes import Size
from walt.data.clip_dataset import ClipDataset
from walt.data.epoch_order import batch_keys, frozen_keys, hash_integer, sample_offsets
from walt.data.key_index import FrozenKeys
from walt.diffusion.noise import sample_noise
from walt.training.autoencoder_config import AutoencoderTrainingConfig, ClipFormConfig
from walt.training.parallel import share_of_batch, sum_over_ranks
from walt.training.trained_model import SecondModel


@dataclass(frozen=True)
class AutoencoderBatch:
    """``video`` (B, 3, frames, H, W) in [-1, 1], and the unit noise (B, c, t, h, w) of the reparameterised draw.

    ``share`` is this batch's share of the step's loss: the shares of a step, over all forms and ranks, add up to 1.
    """

    video: Tensor
    noise: Tensor
    share: float

    def parts(self, count: int) -> Iterator[AutoencoderBatch]:
        """That many equal parts, whose shares add up to this one's."""
        size, rest = divmod(len(self.video), count)
        assert not rest, f"{count} parts of a batch of {len(self.video)}"
        for start in range(0, len(self.video), size):
            span = slice(start, start + size)
            yield AutoencoderBatch(self.video[span], self.noise[span], self.share / count)


@dataclass(frozen=True)
class _StepOutputs:
    """What the autoencoder passes to the discriminator of the same step: (share, real videos, reconstructions)."""

    step: int
    batches: list[tuple[float, Tensor, Tensor]]


class AutoencoderObjective:
    """Batches and losses of the ``train_autoencoder`` section.

    Args:
        discriminator: for the adversarial loss; given exactly where its weight is not 0.
        perceptual: for the perceptual loss; likewise.

    Raises:
        RejectLimitError: there is no training clip in a form that the section asks for.
    """

    def __init__(
        self,
        model: CausalAutoencoder,
        config: AutoencoderTrainingConfig,
        paths: Paths,
        seed: int,
        discriminator: Discriminator | None = None,
        perceptual: PerceptualNetwork | None = None,
    ) -> None:
        assert (discriminator is not None) == bool(config.loss.adversarial), "a discriminator goes with its weight"
        assert (perceptual is not None) == bool(config.loss.perceptual), "a perceptual network goes with its weight"
        self.model, self.config, self.seed = model, config, seed
        self.discriminator, self.perceptual = discriminator, perceptual
        self.device = str(next(model.parameters()).device)
        self.lecam = LeCam().to(self.device) if config.loss.lecam else None
        self._outputs: _StepOutputs | None = None
        self.datasets = {form.resolution: ClipDataset(paths.clips, form.resolution, "train") for form in config.forms}
        self.keys = [_keys_for(self.datasets[form.resolution], form) for form in config.forms]
        for form, keys in zip(config.forms, self.keys, strict=True):
            if not keys:
                raise RejectLimitError(f"{paths.clips}: {_what_is_missing(paths, form)}")

    # data and noise are made in full precision, wherever this is called
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator]
    def batch(self, step: int) -> list[AutoencoderBatch]:
        """The batches of a step, on the CPU: one of each form in joint training, else one of a form drawn by weight.

        Of each batch this rank has its share.
        """
        forms = self.config.forms
        if not self.config.joint:
            return [self._batch(draw_form(forms, self.seed, step), step, share=1.0)]
        total = sum(form.weight for form in forms)
        return [self._batch(index, step, form.weight / total) for index, form in enumerate(forms)]

    def losses(self, step: int, batches: list[AutoencoderBatch]) -> Iterator[dict[str, Tensor]]:
        """The autoencoder's ``loss`` and its terms, averaged over the forms; a term of weight 0 is not computed.

        With ``accumulation`` 1 they come last, all at once. Else they come in equal parts of each form's batch, whose
        terms add up to the step's. Before each form or part but the first there is an empty one, where the training may
        be stopped.
        """
        rounds: list[tuple[float, Tensor, Tensor]] = []
        averages, weights = _Averages(), self.config.loss.model_dump()
        in_parts = self.config.accumulation > 1
        parts = (part for batch in batches for part in batch.parts(self.config.accumulation))
        for number, batch in enumerate(parts):
            if number:
                yield {}
            video = batch.video.to(self.device, memory_format=torch.channels_last_3d)
            terms, reconstruction = self._terms(video, batch.noise.to(self.device))
            averages.add(batch.share, terms)
            if reconstruction is not None and self.discriminator is not None:
                rounds.append((batch.share, video, at_least_fp32(reconstruction.detach())))
            if in_parts:
                yield _with_loss(averages.take(), weights)
        self._outputs = _StepOutputs(step, rounds) if self.discriminator is not None else None
        if not in_parts:
            yield _with_loss(averages.take(), weights)

    def second_model(self) -> SecondModel | None:
        """The discriminator as the training loop's second model; its moving averages are part of its state."""
        if self.discriminator is None:
            return None
        model = nn.ModuleDict({"network": self.discriminator})
        if self.lecam is not None:
            model["lecam"] = self.lecam
        return SecondModel("discriminator", model, self.discriminator_losses)

    def discriminator_losses(self, step: int) -> Iterator[dict[str, Tensor]]:
        """The discriminator's ``loss``, its terms and its mean logits, after ``losses`` of the same step.

        They come as those of ``losses`` do, all at once or in the same parts, with an empty part before each. LeCAM's
        averages move once a step, by the means over all forms, before its term is computed: where there are several
        parts, the logits are computed once more for that, without gradients.
        """
        outputs, self._outputs = self._outputs, None
        assert outputs is not None, "the autoencoder's losses come first"
        assert outputs.step == step, f"the autoencoder's losses are of step {outputs.step}, not {step}"
        weights = {"adversarial": 1.0, "lecam": self.config.loss.lecam, "r1": self.config.loss.r1}
        in_parts = self.config.accumulation > 1
        averages, kept = _Averages(), []
        if self.lecam is not None and in_parts:
            means = _Averages()
            for share, real, fake in outputs.batches:
                yield {}
                means.add(share, self._mean_logits(real, fake))
            self._move_averages(means.take())
        for share, real, fake in outputs.batches:
            yield {}
            terms, logits = self._discriminator_terms(real, fake)
            if self.lecam is not None and in_parts:
                terms["lecam"] = self.lecam(*logits)
            averages.add(share, terms)
            if in_parts:
                yield _with_loss(averages.take(), weights)
            else:
                kept.append((share, logits))
        if in_parts:
            return
        if self.lecam is not None:
            self._move_averages(averages.terms)
            for share, logits in kept:
                averages.add(share, {"lecam": self.lecam(*logits)})
        yield _with_loss(averages.take(), weights)

    def _discriminator_terms(self, real: Tensor, fake: Tensor) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor]]:
        """The discriminator's terms but LeCAM, its mean logits, and the logits of real videos and reconstructions."""
        assert self.discriminator is not None
        logits_real, logits_fake = self.discriminator(torch.cat([real, fake])).chunk(2)
        terms = {"adversarial": discriminator_loss(logits_real, logits_fake)}
        if self.config.loss.r1:
            terms["r1"] = r1_penalty(self.discriminator, real)
        means = {"real_logits": logits_real.detach().mean(), "fake_logits": logits_fake.detach().mean()}
        return {**terms, **means}, (logits_real, logits_fake)

    @torch.no_grad()
    def _mean_logits(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Of a part, without gradients."""
        assert self.discriminator is not None
        logits_real, logits_fake = self.discriminator(torch.cat([real, fake])).chunk(2)
        return {"real_logits": logits_real.mean(), "fake_logits": logits_fake.mean()}

    def _move_averages(self, means: Mapping[str, Tensor]) -> None:
        """Move LeCAM's averages by a step's mean logits, of which this rank has its share."""
        assert self.lecam is not None
        self.lecam.update(*(sum_over_ranks(means[name]) for name in ("real_logits", "fake_logits")))

    def _terms(self, video: Tensor, noise: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """The autoencoder's terms for one form, and the reconstruction where a term needs it."""
        weights = self.config.loss
        terms: dict[str, Tensor] = {}
        reconstruction: Tensor | None = None
        mean, log_variance = self.model.encode(video)
        if weights.reconstruction or weights.perceptual or weights.adversarial:
            reconstruction = self.model.decode(sample_posterior(mean, log_variance, noise))
            if weights.reconstruction:
                terms["reconstruction"] = reconstruction_loss(reconstruction, video)
            if self.perceptual is not None:
                with torch.no_grad():
                    target = self.perceptual(video)
                terms["perceptual"] = perceptual_loss(self.perceptual(reconstruction), target)
            if self.discriminator is not None:
                terms["adversarial"] = generator_loss(self.discriminator(reconstruction))
        if weights.kl:
            terms["kl"] = kl_loss(mean, log_variance)
        return terms, reconstruction

    def _batch(self, index: int, step: int, share: float) -> AutoencoderBatch:
        """The batch of a form, a function of (seed, form, step)."""
        form, seed = self.config.forms[index], hash_integer("form", self.seed, index)
        every = batch_keys(seed, step, form.batch_size, self.keys[index])
        names = names_of_draws(every)
        own = [(every[place], names[place]) for place in share_of_batch(form.batch_size)]
        keys, drawn = [key for key, _ in own], [name for _, name in own]
        dataset = self.datasets[form.resolution]
        starts = [self._start(dataset, key, name, form, step) for key, name in own]
        video = dataset.frames(keys, starts, form.num_frames)
        noise = sample_noise(seed, step, drawn, latent_shape(self.model.config, form.num_frames, *form.resolution))
        return AutoencoderBatch(video, noise, share / ranks().count)

    def _start(self, dataset: ClipDataset, key: str, name: str, form: ClipFormConfig, step: int) -> int:
        """A random first frame; clips start where latent frames do, stills anywhere. ``name``: of its draws."""
        length = len(dataset.clip(key))
        stride = 1 if form.num_frames == 1 else self.model.config.temporal_factor
        return stride * sample_offsets(self.seed, step, [name], (length - form.num_frames) // stride + 1)[0]


def names_of_draws(keys: Sequence[str]) -> list[str]:
    """By what each clip of a whole batch draws its noise and first frame: its key, and the place too of one that is in
    the batch before. A batch that is larger than the split, or reaches into the next epoch, has copies of clips, which
    would be the same sample several times over."""
    seen: set[str] = set()
    names = []
    for place, key in enumerate(keys):
        names.append(f"{key}:{place}" if key in seen else key)
        seen.add(key)
    return names


class _Averages:
    """Averages of named scalars over the forms of a step or their parts, by their shares."""

    def __init__(self) -> None:
        self.terms: dict[str, Tensor] = {}

    def add(self, share: float, terms: Mapping[str, Tensor]) -> None:
        """Add the terms of a form or a part of it."""
        for name, term in terms.items():
            self.terms[name] = self.terms[name] + share * term if name in self.terms else share * term

    def take(self) -> dict[str, Tensor]:
        """What was added since the last call."""
        terms, self.terms = self.terms, {}
        return terms


def _with_loss(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
    """The terms, and ``loss``: the weighted sum of those that have a weight."""
    weighted = [weights[name] * term for name, term in terms.items() if name in weights]
    return {"loss": torch.stack(weighted).sum(), **terms}


def draw_form(forms: tuple[ClipFormConfig, ...], seed: int, step: int) -> int:
    """Index of the form of a step: each comes with a probability proportional to its weight."""
    draw = hash_integer("which form", seed, step) / 2**64 * sum(form.weight for form in forms)
    for index, form in enumerate(forms):
        draw -= form.weight
        if draw < 0:
            return index
    return len(forms) - 1


def _keys_for(dataset: ClipDataset, form: ClipFormConfig) -> FrozenKeys:
    """Stills are taken from images and from videos; longer forms from videos that are long enough (all are)."""
    return frozen_keys([*dataset.video_keys, *dataset.image_keys]) if form.num_frames == 1 else dataset.video_keys


def _what_is_missing(paths: Paths, form: ClipFormConfig) -> str:
    """Why there is nothing to train on: no such clip at all, or all of them are held out."""
    missing = f"no training clip of {form.num_frames} frames at {form.resolution}"
    held_out = len(_keys_for(ClipDataset(paths.clips, form.resolution, "held_out"), form))
    if not held_out:
        return missing
    return f"{missing}: all {held_out} are held out, by the dataset's own lists or its descriptor's held_out"


def trained_sizes(config: AutoencoderTrainingConfig) -> list[Size]:
    """The picture sizes on which the autoencoder is trained, in order of first mention."""
    return list(dict.fromkeys(form.resolution for form in config.forms))
