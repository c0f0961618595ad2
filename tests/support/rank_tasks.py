"""What tests have ranks do: train the tiny models for some steps, and tell what came out."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from tests.support.bf16 import ASKED
from tests.support.settings import changed
from tests.support.tiny_clips import SIZES, write_clips
from tests.support.tiny_latents import batch_maker
from tests.support.tiny_models import AUTOENCODER, BASE, DIFFUSION, SUPER_RESOLUTION, drawn
from tests.support.trainings import autoencoder_training, diffusion_training
from walt.autoencoder.config import DiscriminatorConfig
from walt.autoencoder.discriminator import Discriminator
from walt.autoencoder.model import CausalAutoencoder
from walt.core.errors import TerminatedError
from walt.core.paths import Paths
from walt.core.ranks import ranks
from walt.data.clip_dataset import ClipDataset
from walt.diffusion.schedule import Schedule
from walt.evaluation.held_out import HeldOutBatch, held_out_errors
from walt.nn import collectives
from walt.nn.causal import use_channels_last
from walt.training import parallel
from walt.training.autoencoder_config import AutoencoderLossConfig, ClipFormConfig
from walt.training.autoencoder_measures import held_out_psnr, measure_latents
from walt.training.autoencoder_objective import AutoencoderObjective
from walt.training.compilation import compile_blocks
from walt.training.config import DiffusionTrainingConfig
from walt.training.diffusion_objective import DiffusionObjective
from walt.training.loop import RunState, train
from walt.training.muon import Muon
from walt.training.optimizers import parameter_groups
from walt.training.parallel import release, shard, whole
from walt.training.termination import TerminationSignal
from walt.training.trained_model import SecondModel, TrainedModel, frozen, scalar
from walt.transformer.config import TransformerConfig
from walt.transformer.model import WaltTransformer

STEPS = 5
KINDS = ("base", "images", "sr", "autoencoder")
"""Of trainings; ``adafactor`` and ``muon`` are the base model's with that optimizer."""
Curve = list[dict[str, float]]
Outcome = tuple[Curve, dict[str, Tensor]]


def write_data(root: Path) -> None:
    """What ``training`` reads, under ``root``."""
    for kind, config in (("base", BASE), ("sr", SUPER_RESOLUTION)):
        batch_maker(root / kind, config)
    write_clips(Paths(root).clips)


def training(kind: str, root: Path, work: Path, stop: int | None = None, sharded: bool = False) -> Outcome:
    """Train a model of a kind for five steps, with a checkpoint at each, from what is in ``work``: its log and weights.

    Args:
        stop: the step, from 0, at which the process is asked to stop; then the outcome is what was logged so far.
        sharded: each rank holds its share of the model, an autoencoder's with its blocks computed again.
    """
    torch.manual_seed(0)
    logged: Curve = []
    model, losses, config, more = _parts_of(kind, root)
    if sharded:
        split(model, more.get("second_model"))

    def noted(step: int) -> Any:
        if step == stop and ranks().rank == ranks().count - 1:  # one rank alone is asked
            signal_here()
        return losses(step)

    try:
        result = train(
            name=kind, model=model, losses=noted, config=config, identity={"of": kind}, work=work,
            on_log=lambda step, metrics: logged.append({"step": step, **metrics}), **more,
        )  # fmt: skip
    except TerminatedError:
        return logged, {}
    return logged, result.state_dict


def split(model: nn.Module, second: SecondModel | None = None) -> None:
    """Leave this rank its share, as the stages do."""
    if second is not None:
        discriminator = second.model.get_submodule("network")
        assert isinstance(discriminator, Discriminator)
        shard(discriminator, discriminator.blocks, twice=True)
    if isinstance(model, CausalAutoencoder):
        model.activation_checkpointing = True
        for network, layers in model.parts():
            shard(network, layers)
    else:
        assert isinstance(model, WaltTransformer)
        shard(model, model.blocks)


def signal_here() -> None:
    """SIGTERM to this process."""
    os.kill(os.getpid(), signal.SIGTERM)


def _objective_settings(**changes: Any) -> DiffusionTrainingConfig:
    optimizer = changed(diffusion_training().optimizer, gradient_clip=1.0, weight_decay=0.1)
    return diffusion_training(
        steps=STEPS, batch_size=8, image_fraction=0.25, optimizer=optimizer, ema_decay=0.9, checkpoint_every=1,
        self_conditioning_probability=0.5, condition_dropout=0.3, timestep_bands=8, accumulation=2, **changes,
    )  # fmt: skip


def maker_of(kind: str, root: Path) -> Any:
    """Of the batches of a kind of transformer, from what ``write_data`` wrote."""
    config = SUPER_RESOLUTION if kind == "sr" else BASE
    return batch_maker(root / ("sr" if kind == "sr" else "base"), config, dropout=0.3, write=False)


def objective_of(kind: str, root: Path, **changes: Any) -> DiffusionObjective:
    """Of a kind of transformer; ``images`` trains on images alone."""
    config: TransformerConfig = SUPER_RESOLUTION if kind == "sr" else BASE
    config = config.model_copy(update={"layers": 1}) if kind == "one block" else config
    fraction: dict[str, Any] = {"image_fraction": 1.0} if kind == "images" else {}
    if kind in ("adafactor", "muon"):
        fraction = {"optimizer": {"name": kind}}
    if kind == "one block":  # in one form: to compile each takes many seconds
        fraction = {"self_conditioning_probability": 0.0, "accumulation": 1, "image_fraction": 0.0}
    model = drawn(WaltTransformer(config), 1)
    settings = changed(_objective_settings(), **{**fraction, **changes})
    return DiffusionObjective(model, Schedule.from_config(DIFFUSION), maker_of(kind, root), settings, seed=0)


Parts = tuple[nn.Module, Callable[[int], Any], Any, dict[str, Any]]


def _parts_of(kind: str, root: Path, **changes: Any) -> Parts:
    """Model, losses by step, settings with these changes, and what else ``train`` is given."""
    if kind == "autoencoder in parts":
        changes = {"accumulation": 2, **changes}
    return _autoencoder(root, **changes) if kind.startswith("autoencoder") else _transformer(kind, root, **changes)


def _transformer(kind: str, root: Path, **changes: Any) -> Parts:
    objective = objective_of(kind, root, **changes)
    if objective.config.compile:
        compile_blocks(objective.model.blocks, "cpu", "train_base.compile")

    def losses(step: int) -> Iterator[Any]:
        return objective.losses(step, objective.batch(step))

    return objective.model, losses, objective.config, {}


def _autoencoder(root: Path, **changes: Any) -> Parts:
    forms = (
        ClipFormConfig(resolution=(16, 16), num_frames=5, batch_size=4, weight=1.0),
        ClipFormConfig(resolution=(32, 32), num_frames=1, batch_size=4, weight=3.0),
    )
    weights = {"reconstruction": 5.0, "kl": 1e-6, "perceptual": 0.1, "adversarial": 0.1, "lecam": 0.1, "r1": 10.0}
    config = autoencoder_training(
        perceptual_network="not read: _BrightnessClasses takes its place",
        steps=STEPS, forms=forms, joint=True, loss=AutoencoderLossConfig(**weights), checkpoint_every=1, ema_decay=0.9,
        discriminator=DiscriminatorConfig(base_channels=2, channel_multipliers=(2,)),
        optimizer=changed(autoencoder_training().optimizer, learning_rate=1e-4),  # more multiplies rounding, by Adam
        **changes,
    )  # fmt: skip
    assert config.discriminator is not None
    model, discriminator = CausalAutoencoder(AUTOENCODER), Discriminator(config.discriminator)
    use_channels_last(model)
    use_channels_last(discriminator)
    classes: Any = _BrightnessClasses()
    objective = AutoencoderObjective(model, config, Paths(root), 0, discriminator, classes)

    def losses(step: int) -> Any:
        return objective.losses(step, objective.batch(step))

    return model, losses, config, {"second_model": objective.second_model()}


class _BrightnessClasses(nn.Module):
    """Takes the place of a perceptual network: a frame (B, 3, T, H, W) is classified by its brightness, (B T, 5)."""

    def forward(self, video: Tensor) -> Tensor:
        brightness = video.float().mean(dim=(1, 3, 4)).flatten()
        return -(brightness[:, None] - torch.linspace(-1, 1, 5)).square()


def trainings(root: Path, work: Path) -> dict[str, Outcome]:
    """Every kind, undisturbed."""
    return {kind: training(kind, root, work / kind) for kind in KINDS}


def uneven_gradients() -> list[list[float] | None]:
    """What is added up where the first rank has a gradient of one parameter, the last of another, none of a third."""
    parameters = [nn.Parameter(torch.zeros(2)) for _ in range(3)]
    if ranks().is_first:
        parameters[0].grad = torch.tensor([1.0, 2.0])
    if ranks().rank == ranks().count - 1:
        parameters[1].grad = torch.tensor([3.0, 4.0])
    parallel.sum_gradients(parameters)
    return [None if parameter.grad is None else parameter.grad.tolist() for parameter in parameters]


def moved_by_muon(cut: int | None) -> list[Tensor]:
    """Kernels and matrices after three steps with gradients that are the same on all ranks."""
    torch.manual_seed(0)
    model = nn.ModuleList([nn.Linear(24, 40), *[nn.Linear(24, 24) for _ in range(5)], nn.Conv3d(4, 24, 3)])
    optimizer = Muon(parameter_groups(model, 0.1), lr=0.01, cut=cut)
    for _ in range(3):
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape)
        optimizer.step()
    return [parameter.detach() for parameter in model.parameters()]


def conversation() -> dict[str, Any]:
    """What ranks tell each other."""
    mine = ranks().share(list("abcde"))
    return {
        "any": collectives.any_rank(ranks().rank == 1),
        "none": collectives.any_rank(False),
        "bytes": collectives.gather_bytes(b"x" * ranks().rank),
        "values": collectives.gather({"half": ranks().rank / 2 + 0.1}),
        "shares": collectives.gather_shares([letter.upper() for letter in mine]),
        "tensors": torch.cat(collectives.gather_tensors([torch.full((2,), float(ord(letter))) for letter in mine])),
    }


def run_stage(name: str, config: Any, root: Path) -> dict[str, Any]:
    """A stage's work on this rank, untracked."""
    from tests.support.training_stages import untracked  # here: most tasks need no stage

    torch.set_num_threads(1)
    stage = importlib.import_module(f"walt.stages.{name}")
    if hasattr(stage, "start_run"):
        stage.start_run = untracked
    figures: dict[str, Any] = stage.run(config, Paths(root))
    return figures


def measures_of_an_autoencoder(root: Path) -> dict[str, Any]:
    """What ``train-autoencoder`` measures at its end, in batches of one clip: more than there are ranks, or fewer."""
    from walt.stages import train_autoencoder

    train_autoencoder._EVALUATION_BATCH = 1
    torch.manual_seed(0)
    model = CausalAutoencoder(AUTOENCODER).eval()
    clips = {size: ClipDataset(Paths(root).clips, size, "train") for size in SIZES}
    statistics, errors = measure_latents(model, clips, autoencoder_training(statistics_clips=3), 0)
    return statistics.to_json() | errors | held_out_psnr(model, Paths(root).clips, autoencoder_training())


def held_out_losses() -> list[list[float]]:
    """Of a base model, on three batches that do not divide by two."""
    model = drawn(WaltTransformer(BASE), 1).eval()
    generator = torch.Generator().manual_seed(0)
    batches = []
    for number, size in enumerate((2, 2, 1)):
        text = torch.randn(size, 4, BASE.text_width or 0, generator=generator)
        given = {"text": text, "text_mask": torch.ones(size, 4, dtype=torch.bool)}
        latents = torch.randn(size, BASE.latent_channels, *BASE.latent_grid, generator=generator)
        batches.append(HeldOutBatch([f"{number}-{i}" for i in range(size)], latents, given, None))
    errors: list[list[float]] = held_out_errors(model, Schedule.from_config(DIFFUSION), batches, 3, 0).tolist()
    return errors


def sharded_trainings(kinds: Sequence[str], root: Path, work: Path) -> dict[str, Outcome]:
    """Of these kinds, each rank with its share of the model."""
    return {kind: training(kind, root, work / kind, sharded=True) for kind in kinds}


def step_in_bf16(kind: str, root: Path, sharded: bool, **changes: Any) -> tuple[float, dict[str, float]]:
    """The loss of a step in bf16, on any processor, and the norms of its gradients, of both models, by parameter."""
    with mock.patch(ASKED, return_value=True):
        return _step(kind, root, sharded, **changes, precision="bf16")


def _step(kind: str, root: Path, sharded: bool, **changes: Any) -> tuple[float, dict[str, float]]:
    torch.manual_seed(0)
    model, losses, config, more = _parts_of(kind, root, **changes)
    if sharded:
        split(model, more.get("second_model"))
    models = [TrainedModel(model, losses, config)]
    if more:
        models.append(TrainedModel(more["second_model"].model, more["second_model"].losses, config, "second"))
    norms: dict[str, float] = {}
    with TerminationSignal() as stop:
        for trained in models:
            with frozen(other for other in models if other is not trained):
                terms = trained.gradient(0, stop)
            for other in models:
                release(other.model)
            assert terms is not None
            norms |= {"loss": float(scalar(terms, "loss"))} if trained.prefix == "" else {}
            gradients = {name: value.grad for name, value in trained.model.named_parameters() if value.grad is not None}
            norms |= {f"{trained.prefix}{name}": float(value.norm()) for name, value in whole(gradients).items()}
            missing = {name for name, _ in trained.model.named_parameters()} - gradients.keys()
            assert not missing, f"without a gradient: {missing}"
    return norms.pop("loss"), norms


def compiled_steps(root: Path) -> list[tuple[float, dict[str, float]]]:
    """Of one block, compiled, replicated and sharded."""
    import torch._inductor.config  # here: it takes seconds

    torch._inductor.config.compile_threads = 1  # a pool of processes would take longer to start than it saves
    return [step_in_bf16("one block", root, sharded, compile=True) for sharded in (False, True)]


def gradients_of_a_sharded_model(root: Path, kind: str, with_inputs: bool) -> str:
    """What a step says of its gradients, where they are asked for as they must not be, or as they are."""
    torch.manual_seed(0)
    model, losses, config, more = _parts_of(kind, root)
    split(model, more.get("second_model"))
    trained = TrainedModel(model, losses, config)
    plain = Tensor.backward

    def backward(loss: Tensor) -> None:
        plain(loss, inputs=trained.parameters)

    try:
        with mock.patch.object(Tensor, "backward", backward if with_inputs else plain), TerminationSignal() as stop:
            assert trained.gradient(0, stop) is not None
    except RuntimeError as error:
        return str(error)
    return ""


def started_differently(sharded: bool) -> dict[str, Tensor]:
    """The whole weights with which a run begins, where each rank has drawn others."""
    torch.manual_seed(ranks().rank)
    model = CausalAutoencoder(AUTOENCODER)
    if sharded:
        split(model)
    config = autoencoder_training(steps=1)
    with TemporaryDirectory() as work:
        state = RunState("start", [TrainedModel(model, lambda step: {}, config)], config, {}, Path(work))
        state.resume("start")
    return {name: value.clone() for name, value in whole(model.state_dict()).items()}
