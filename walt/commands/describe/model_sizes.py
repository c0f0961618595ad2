"""``walt describe``: every model of a parameter file, its size and what a sample costs. Not a stage.

Models and samples are on torch's ``meta`` device, so nothing is computed, loaded or downloaded. See ``describe``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table
from torch import Tensor, nn

from walt.autoencoder.discriminator import Discriminator
from walt.autoencoder.model import CausalAutoencoder
from walt.commands.describe.called_transformer import DTYPES, called_transformer
from walt.commands.describe.planned_steps import by_layers
from walt.nn.accounting import forward_flops, parameters_by_part, saved_bytes
from walt.nn.positions import token_grid
from walt.project.params import Params
from walt.text.architecture import text_architecture
from walt.text.config import TextConfig
from walt.text.encoder import TINY
from walt.training.config import DiffusionTrainingConfig, LoopConfig
from walt.transformer.config import TransformerConfig


@dataclass(frozen=True)
class ModelDescription:
    """One model. The fields are the keys of the JSON form; numbers are plain, and null where they cannot be known."""

    summary: str
    """A description for people."""
    parameters: int | None
    parts: dict[str, int]
    """Parameters of each part, in the order in which a sample passes through them; they sum to ``parameters``."""
    input_shape: list[int] | None
    """One sample without the batch: (channels, frames, height, width), or (tokens,) for text."""
    latent_shape: list[int] | None
    """(c, 1+t, h, w) of the latents that a sample makes, is made from, or is."""
    tokens: int | None
    """Tokens per sample; null for convolutional networks."""
    flops: int | None
    """Of one forward pass of one sample, without guidance; a multiply-add is 2 (see ``forward_flops``)."""
    activation_bytes: int | None
    """Estimate of what one training sample adds to memory: what autograd keeps for the backward pass.

    Counted exactly (see ``saved_bytes``) on a model whose weights and sample have the training section's precision.
    Left out: weights, gradients and the optimizer's state; workspaces of kernels; with activation checkpointing the one
    block that is being computed again; with bf16 the copies that autocast makes of weights, and what it keeps in fp32
    all the same (a quarter more in the 3 B transformer by a processor's rules). Null for a model that is not trained.
    """
    precision: str | None
    """``fp32`` or ``bf16``: the training section's."""
    activation_checkpointing: bool | None
    """Whether training keeps only the inputs of blocks, and computes the rest again in the backward pass."""
    note: str | None
    """What people need to know about the numbers."""


def describe(params: Params, name: str, root: Path) -> dict[str, Any]:
    """All models of ``params`` as one JSON document: ``{"recipe": name, "models": {NAME: ModelDescription}}``.

    The models are ``encoder`` and ``decoder``, ``base``, and where they are configured ``discriminator``,
    ``text_encoder``, ``aspect``, ``sr_2x`` and ``sr_4x``. The autoencoder's are described at its largest training form,
    the transformers at their latent grid.

    Args:
        root: what a relative folder of the text encoder is relative to.

    Raises:
        ConfigurationError: the text encoder's folder is missing or does not hold a T5.
    """
    models = {
        **dict(_autoencoder(params)),
        **({} if params.text is None else {"text_encoder": _text_encoder(params.text, params.text_width, root)}),
        **{
            name: _transformer(params.text, config, training)
            for name, (config, training) in params.transformers().items()
        },
    }
    return {"recipe": name, "models": {key: asdict(model) for key, model in models.items()}}


def _autoencoder(params: Params) -> Iterator[tuple[str, ModelDescription]]:
    """Encoder, decoder and, where there is one, the discriminator, each with its name."""
    config, training = params.autoencoder, params.train_autoencoder
    form = max(training.forms, key=lambda form: form.num_frames * form.resolution[0] * form.resolution[1])
    with torch.device("meta"):
        model = CausalAutoencoder(config).to(DTYPES[training.precision])
        video = torch.empty(1, 3, form.num_frames, *form.resolution, dtype=DTYPES[training.precision])
        # in training a gradient comes through them
        latents = torch.empty_like(model.encode(video)[0], requires_grad=True)
        fake = torch.empty_like(video, requires_grad=True)
    model.activation_checkpointing = training.activation_checkpointing
    shape = f"{form.num_frames}x{form.resolution[0]}x{form.resolution[1]}"
    note = f"a sample has the largest training form, {shape}"
    widths = " ".join(str(config.base_channels * multiplier) for multiplier in config.channel_multipliers)
    kind = f"levels of {widths} channels, blocks per level: {config.blocks_per_level}"
    layers = "causal 3D" if config.dimensions == 3 else "2D"
    latent_shape = list(latents.shape[1:])
    yield (
        "encoder",
        _described(
            model.encoder, video, _costs(model.encoder, lambda: model.encode(video)), _part_of_encoder, training,
            summary=f"{layers} encoder, {kind}", latent_shape=latent_shape, tokens=None, note=note,
            checkpointed=model.activation_checkpointing,
        ),
    )  # fmt: skip
    yield (
        "decoder",
        _described(
            model.decoder, latents, _costs(model.decoder, lambda: model.decode(latents)),
            _part_of_decoder(len(config.channel_multipliers)), training,
            summary=f"{layers} decoder, {kind}", latent_shape=latent_shape, tokens=None, note=note,
            checkpointed=model.activation_checkpointing,
        ),
    )  # fmt: skip
    if training.discriminator is not None:
        with torch.device("meta"):
            discriminator = Discriminator(training.discriminator).to(fake.dtype)
        channels = training.discriminator.base_channels
        widths = " ".join(str(channels * multiplier) for multiplier in training.discriminator.channel_multipliers)
        yield (
            "discriminator",
            _described(
                discriminator, fake, _costs(discriminator, lambda: discriminator(fake)), _part_of_discriminator,
                training,
                summary=f"3D discriminator, blocks of {widths} channels", latent_shape=None, tokens=None,
                note=f"{note}; a step sees real and generated ones",
                checkpointed=False,
            ),
        )  # fmt: skip


def _transformer(
    text: TextConfig | None, config: TransformerConfig, training: DiffusionTrainingConfig
) -> ModelDescription:
    """A base or super-resolution model at its latent grid. What it takes is counted with few of its layers."""

    def of_layers(layers: int) -> dict[str, dict[str, int]]:
        model, _, forward = called_transformer(text, config.model_copy(update={"layers": layers}), training)
        return {"forward": _costs(model, forward)}

    model, latents, _ = called_transformer(text, config, training)
    frames, length = config.latent_grid[0], text.max_tokens if text else 0
    resolution = f"{config.resolution[0]}x{config.resolution[1]}"
    condition = {"text": f" with {length} text tokens", "class": " with its class", "none": ""}[config.conditioning]
    return _described(
        model, latents, by_layers(config.layers, of_layers)["forward"], _part_of_transformer, training,
        summary=f"transformer for {resolution}: {config.layers} layers, width {config.width}, {config.heads} heads, "
        f"MLP {config.mlp_width}, patch {config.patch_size}",
        latent_shape=list(latents.shape[1:]), tokens=math.prod(token_grid(config.latent_grid, config.patch_size)),
        note=f"a sample is {'a video' if frames > 1 else 'an image'}{condition}",
        checkpointed=model.activation_checkpointing,
    )  # fmt: skip


def _text_encoder(config: TextConfig, width: int | None, root: Path) -> ModelDescription:
    """The T5 encoder; numbers are null where its configuration is not on this machine."""
    source, length = config.encoder, config.max_tokens
    model = text_architecture(config, root)
    summary = f"T5 encoder '{source}', frozen"
    if model is None:
        note = f"'{source}' is not on this machine, so there are no numbers; its width must be {width}"
        return ModelDescription(summary, None, {}, [length], None, length, None, None, None, None, note)
    with torch.device("meta"):
        ids = torch.zeros(1, length, dtype=torch.int64)
    parts = parameters_by_part(model, _part_of_text_encoder)
    flops = forward_flops(lambda: model(input_ids=ids))
    size_note = "with the largest vocabulary that text.tiny allows" if source == TINY else None
    return ModelDescription(
        summary, sum(parts.values()), parts, [length], None, length, flops, None, None, None, size_note
    )  # fmt: skip


def _costs(model: nn.Module, forward: Callable[[], object]) -> dict[str, int]:
    """What ``forward``, a call of ``model``, takes: operations, and bytes that are kept. It is called once."""
    flops: list[int] = []
    saved = saved_bytes(model, lambda: flops.append(forward_flops(forward)))
    return {"flops": flops[0], "activation_bytes": saved}


def _described(
    model: nn.Module, sample: Tensor, costs: Mapping[str, int], part_of: Callable[[str], str],
    training: LoopConfig, *, summary: str, latent_shape: list[int] | None, tokens: int | None, note: str,
    checkpointed: bool,
) -> ModelDescription:  # fmt: skip
    """The model with ``_costs`` of a call with ``sample`` (a batch of one)."""
    parts = parameters_by_part(model, part_of)
    return ModelDescription(
        summary=summary,
        parameters=sum(parts.values()),
        parts=parts,
        input_shape=list(sample.shape[1:]),
        latent_shape=latent_shape,
        tokens=tokens,
        flops=costs["flops"],
        activation_bytes=costs["activation_bytes"],
        precision=training.precision,
        activation_checkpointing=checkpointed,
        note=note,
    )


_OUTER_PARTS = {"conv_in": "input", "middle": "middle", "norm_out": "output", "conv_out": "output"}


def _part_of_encoder(name: str) -> str:
    first, second, *_ = name.split(".")
    return f"level_{int(second) + 1}" if first in ("levels", "downs") else _OUTER_PARTS[first]


def _part_of_decoder(levels: int) -> Callable[[str], str]:
    """The decoder's levels are numbered as the encoder's: it begins with the last."""

    def part_of(name: str) -> str:
        first, second, *_ = name.split(".")
        return f"level_{levels - int(second)}" if first in ("norms", "levels", "ups") else _OUTER_PARTS[first]

    return part_of


def _part_of_discriminator(name: str) -> str:
    first, second, *_ = name.split(".")
    if first == "blocks":
        return f"block_{int(second) + 1}"
    return {"conv_in": "input", "conv_out": "output", "hidden": "output", "logit": "output"}[first]


_TRANSFORMER_PARTS = {
    "patch_in.": "patch_embedding",
    "position.": "position_embedding",
    "time_embedding.": "timestep_embedding",
    "text_in.": "text_projection",
    "label_embedding.": "label_embedding",
    "upsample.": "low_resolution_input",
    "noise_level_embedding.": "low_resolution_input",
    "shared_modulation.": "adaln_shared",
    "final_modulation.": "output",
    "patch_out.": "output",
}
_BLOCK_PARTS = {
    "self_attention.bias.": "relative_position_bias",
    "self_attention.": "self_attention",
    "cross_": "cross_attention",
    "mlp.": "mlp",
    "modulation.down.": "adaln_lora",
    "modulation.up.": "adaln_lora",
    "modulation.mlp.": "adaln_separate",
}
_TEXT_PARTS = {
    "shared.": "embeddings",
    "encoder.final_layer_norm.": "output",
    "layer.0.SelfAttention.relative_attention_bias.": "relative_position_bias",
    "layer.0.": "self_attention",
    "layer.1.": "mlp",
}


def _part_of_transformer(name: str) -> str:
    if name.startswith("blocks."):
        return _by_prefix(name.split(".", 2)[2], _BLOCK_PARTS)
    return _by_prefix(name, _TRANSFORMER_PARTS)


def _part_of_text_encoder(name: str) -> str:
    return _by_prefix(name.split(".", 3)[3] if name.startswith("encoder.block.") else name, _TEXT_PARTS)


def _by_prefix(name: str, parts: Mapping[str, str]) -> str:
    """The first that fits. A parameter that belongs to no part is a defect, since the parts must sum to the whole."""
    found = [part for prefix, part in parts.items() if name.startswith(prefix)]
    assert found, f"no part is known for the parameter {name}"
    return found[0]


def tables(document: Mapping[str, Any]) -> Iterator[Table]:
    """The document of ``describe`` as a person reads it: one table per model."""
    for name, model in document["models"].items():
        table = Table(title=f"[bold]{name}[/]  {escape(model['summary'])}", title_justify="left", title_style="")
        table.box, table.show_header = SIMPLE, False
        table.add_column(min_width=24)
        table.add_column(justify="right", min_width=10)
        table.add_column(justify="right", min_width=8)
        total = model["parameters"]
        for part, count in model["parts"].items():
            table.add_row(part.replace("_", " "), in_units(count, _COUNTS), f"{100 * count / total:.1f} %")
        table.add_section()
        for label, value in _facts(model):
            table.add_row(label, value, "")
        table.caption, table.caption_justify = model["note"] and escape(model["note"]), "left"
        yield table


def _facts(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The lines below the parts: (label, value)."""
    if model["parameters"] is not None:
        yield "parameters", f"[bold]{in_units(model['parameters'], _COUNTS)}[/]"
    if model["input_shape"] is not None:
        yield "input", " x ".join(map(str, model["input_shape"]))
    if model["latent_shape"] is not None:
        yield "latents", " x ".join(map(str, model["latent_shape"]))
    if model["tokens"] is not None:
        yield "tokens per sample", str(model["tokens"])
    if model["flops"] is not None:
        yield "forward pass per sample", in_units(model["flops"], _FLOPS)
    if model["activation_bytes"] is not None:
        how = "checkpointed" if model["activation_checkpointing"] else "all kept"
        label = f"activations per sample ({model['precision']}, {how})"
        yield label, in_units(model["activation_bytes"], _BYTES, 1024.0)


def in_units(number: float, units: Sequence[str], base: float = 1000.0) -> str:
    """Four digits and the unit of ``units`` that fits, each ``base`` times the one before: ``3.091 B``."""
    power = 0
    while number >= 0.99995 * base and power < len(units) - 1:
        number, power = number / base, power + 1
    digits = f"{number:.0f}" if power == 0 or number >= 999.95 else f"{number:#.4g}"
    return f"{digits} {units[power]}".strip()


_COUNTS = ("", "K", "M", "B", "T")
_FLOPS = ("FLOP", "KFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP")
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")
