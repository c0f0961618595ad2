"""The model card, ``README.md`` with a head that the Hub reads: what the models are, on what they were trained and
measured, and what runs on loading."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from markupsafe import Markup
from ruamel.yaml import YAML

from walt.autoencoder.config import AutoencoderConfig
from walt.autoencoder.diffusers_vae import DESCRIPTION
from walt.core.config import load_section
from walt.core.digests import sha256_file
from walt.core.figures import Figure, significant
from walt.core.paths import Paths
from walt.core.storage import read_json
from walt.data.partitions import PARTS_INDEX
from walt.hub import layout
from walt.hub.exporting import Exported, is_diffusers_autoencoder
from walt.ingest.config import Descriptor
from walt.nn.pretrained import load_config
from walt.pages.template import render
from walt.project.params import Params
from walt.sampling.samples import SAMPLES

TEMPLATE = Path(__file__).with_name("card.md.jinja")
_MOST_PROMPTS = 12


@dataclass(frozen=True)
class CardFacts:
    """What a person says of the models."""

    name: str
    """The title, and where they are pushed to."""
    licence: str | None
    """The Hub's name of the weights' licence, such as ``apache-2.0``."""


def card(facts: CardFacts, params: Params, root: Path, exported: Exported) -> str:
    """The text; the same project gives the same."""
    paths, base = Paths(root), exported.architectures[layout.TRANSFORMER]
    descriptor = load_section(paths.resolve(params.dataset.descriptor), Descriptor)
    figures, why_not = _figures(paths, exported)
    samples = _prompts(paths)
    prompt = {"text": json.dumps(samples[0] if samples else "..."), "class": "0", "none": "None"}[base.conditioning]
    licence = f"Of the weights: {facts.licence}." if facts.licence else "Of the weights: not stated."
    protocol = "" if figures is None else json.dumps(read_json(paths.evaluation)["settings"], indent=1, sort_keys=True)
    return render(
        TEMPLATE,
        {
            "header": Markup(_header(facts, descriptor, exported, figures)),
            "name": facts.name,
            "address": Markup(json.dumps(facts.name)),
            "example": Markup(prompt),
            "videos": _videos(params, exported),
            "diffusers": layout.DIFFUSERS,
            "code": exported.code,
            "code_sha256": exported.code_sha256,
            "parts": _parts(exported),
            "dataset": descriptor,
            "manifest": _manifest_digest(paths),
            "figures": figures and [_row(name, figure) for name, figure in figures.items()],
            "why_no_figures": why_not,
            "protocol": Markup(protocol),
            "prompts": samples[:_MOST_PROMPTS],
            "max_tokens": exported.text and exported.text["max_tokens"],
            "licence": licence,
            "digests": ", ".join(f"{name} `{digest[:16]}`" for name, digest in exported.digests.items()),
        },
    )


def _header(facts: CardFacts, descriptor: Descriptor, exported: Exported, figures: Mapping[str, Figure] | None) -> str:
    """YAML as the Hub reads it, without the lines around it."""
    conditioning = exported.architectures[layout.TRANSFORMER].conditioning
    task = "text-to-video" if conditioning == "text" else "video-generation"
    head: dict[str, Any] = {
        "library_name": "diffusers", "license": facts.licence or "unknown",
        "tags": ["walt", "video", "diffusion", "safetensors"],
    }  # fmt: skip
    if conditioning == "text":
        head["pipeline_tag"] = task
    if figures:
        metrics = [
            {
                "type": name,
                "name": f"{name}, 95 % interval {figure.interval}" if figure.has_interval else name,
                "value": figure.value,
            }
            for name, figure in figures.items()
        ]
        dataset = {"name": descriptor.name, "type": descriptor.name}
        result = {"task": {"type": task}, "dataset": dataset, "metrics": metrics}
        head["model-index"] = [{"name": facts.name, "results": [result]}]
    stream = StringIO()
    yaml = YAML()
    yaml.default_flow_style, yaml.width = False, 4096
    yaml.dump(head, stream)
    return stream.getvalue().rstrip("\n")


def _figures(paths: Paths, exported: Exported) -> tuple[dict[str, Figure] | None, str]:
    """The figures of these very models, or why there are none. Bands of the loss are left out: they are many."""
    if not paths.evaluation.is_file():
        return None, "These models were not evaluated where this was written."
    evaluation = read_json(paths.evaluation)
    named = evaluation.get("models", {})
    if any(named.get(name) != digest for name, digest in exported.digests.items()):
        return None, "The evaluation of the project is of other models than these."
    found = {name: Figure.from_json(value) for name, value in evaluation["figures"].items()}
    return {name: figure for name, figure in found.items() if "/band_" not in name}, ""


def _row(name: str, figure: Figure) -> dict[str, Any]:
    conditions = (
        f"{what}: {value[:12] if re.fullmatch('[0-9a-f]{64}', value) else value}"
        for what, value in figure.conditions.items()
    )
    return {
        "name": name, "value": significant(figure.value, 4), "interval": figure.interval, "count": figure.items,
        "conditions": "; ".join(conditions),
    }  # fmt: skip


def _prompts(paths: Paths) -> list[str]:
    """Of the project's samples, each once."""
    file = paths.samples / SAMPLES
    samples = read_json(file) if file.is_file() else []
    return list(dict.fromkeys(sample["prompt"] for sample in samples if sample["prompt"]))


def _manifest_digest(paths: Paths) -> str | None:
    """Of the manifest's index as it is now, by which the report and ``walt export data`` name a manifest, too."""
    index = paths.manifest / PARTS_INDEX
    return sha256_file(index) if index.is_file() else None


def _videos(params: Params, exported: Exported) -> str:
    """``videos of 17 frames at 8 frames per second, 64 pixels high and 64 wide``."""
    architectures = list(exported.architectures.values())
    last = architectures[-1] if params.sample.cascade else architectures[0]
    height, width = last.resolution
    autoencoder = load_config(exported.components[layout.AUTOENCODER], AutoencoderConfig)
    frames = 1 + autoencoder.temporal_factor * (last.latent_grid[0] - 1)
    shape = f"{height} pixels high and {width} wide"
    return f"videos of {frames} frames at {params.sample.fps:g} frames per second, {shape}"


def _parts(exported: Exported) -> list[tuple[str, str]]:
    found = []
    for component, config in exported.architectures.items():
        height, width = config.resolution
        shape = f"{config.layers} blocks of width {config.width}, for {height} x {width} pixels (height x width)"
        found.append((component, f"transformer, {shape}, conditioned on {config.conditioning}"))
    autoencoder = exported.components[layout.AUTOENCODER]
    if is_diffusers_autoencoder(autoencoder):
        kind = read_json(autoencoder / DESCRIPTION)["_class_name"]
        found.append((layout.AUTOENCODER, f"`{kind}` of diffusers, as it was given; the transformers know its latents"))
    else:
        found.append((layout.AUTOENCODER, "causal autoencoder, with mean and standard deviation of its latents"))
    found.append((layout.SCHEDULER, "noise schedule"))
    if exported.text is not None:
        found.append((layout.TEXT_ENCODER, f"T5 encoder, {exported.text['width']} wide, with `{layout.TOKENIZER}`"))
    return found
