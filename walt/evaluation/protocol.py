"""Protocols: what a published number was measured on, as files of ``walt/evaluation/protocols``.

A number is printed with the name of its protocol. Where an evaluation differs from what the protocol says (fewer
videos, another size, another network), the name says so too, and the digest is another one: two numbers are of the same
protocol where both agree, and only such numbers are compared. Intervals draw clips of one recording together, and
samples of one prompt where a protocol does not list the prompts (``walt.evaluation.groups``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from walt.core.config import Section, load_section
from walt.core.digests import sha256_json
from walt.core.errors import ConfigurationError
from walt.core.sizes import Size, size_folder
from walt.core.suggestions import did_you_mean
from walt.evaluation.config import EvaluateConfig, NetworkFile, NetworkName

SPLITS: dict[str, tuple[Literal["held_out", "train"], ...]] = {
    "held_out": ("held_out",),
    "train": ("train",),
    "held_out_first": ("held_out", "train"),
}
"""By ``real.split``: the clips' splits, in their order."""
FOLDER = Path(__file__).with_name("protocols")
_DIGITS = 12

Metric = Literal["frechet_distance", "kid", "mmd", "precision", "recall", "inception_score", "text_similarity"]


class RealSide(Section):
    """What samples are compared with."""

    split: Literal["held_out", "train", "held_out_first"]
    """Of the stored clips; ``held_out_first``: then training ones, up to ``clips``."""
    clips: PositiveInt
    draw_seed: NonNegativeInt
    """Which ones, where there are more: a function of this number and of the clips, one of each recording before a
    second one of any (``walt.data.clip_draw``). The clips of held-out losses are drawn in the same way."""
    statistics: bool
    """Whether a Frechet distance is taken to the file ``evaluate.statistics`` and not to the clips."""


class GeneratedSide(Section):
    """The samples."""

    clips: PositiveInt | None
    """Null: as many as there are."""
    conditions: Literal["any", "none", "class", "text", "frames"]
    """What the model is given; ``frames``: the first ones of held-out clips, ``sample.beginning``."""
    prompts: tuple[str, ...] | None
    """The only ones that may be asked for; null: any."""
    seed: NonNegativeInt | None
    """Of their noise; null: any."""
    repeats: PositiveInt
    """Sets of ``clips`` samples, each with noise of its own, over which published numbers are averaged."""
    balance: Literal["any", "even", "training"]
    """How often each class or prompt is asked for, in each set: as often as any other, but for one; or, of classes, as
    often as in the training clips, but for one."""


class Form(Section):
    """Of the clips of both sides."""

    frames: PositiveInt
    fps: PositiveFloat
    height: PositiveInt
    width: PositiveInt
    resize: Literal["bicubic"]
    """By which sources were brought to that size: that of ``walt.media.scaling``."""


class Measure(Section):
    """Numbers of one network."""

    network: NetworkName
    metrics: tuple[Metric, ...]
    splits: PositiveInt | None
    """Parts of the samples over which an inception score is averaged; null where none is asked for."""

    @model_validator(mode="after")
    def _fits(self) -> Measure:
        """A network gives what its metrics need."""
        if "inception_score" in self.metrics and self.network not in WITH_CLASSES:
            raise ValueError(f"{self.network} has no classes: an inception_score needs {', '.join(WITH_CLASSES)}")
        if "text_similarity" in self.metrics and self.network != "clip":
            raise ValueError(f"{self.network} reads no text: text_similarity needs clip")
        if ("inception_score" in self.metrics) != (self.splits is not None):
            raise ValueError("splits are those of an inception_score: a number with it, null without it")
        return self


WITH_CLASSES: tuple[NetworkName, ...] = ("i3d", "c3d", "inception")
_OF_FEATURES: tuple[Metric, ...] = ("frechet_distance", "kid", "mmd", "precision", "recall")


class Protocol(Section):
    """One file."""

    title: str
    about: str
    """Where it is from, and what of it is open."""
    real: RealSide
    generated: GeneratedSide
    form: Form | None
    """Null: any."""
    given_frames: NonNegativeInt
    """First frames that the model was given."""
    judge_given_frames: bool
    """Whether they are evaluated too; else both sides are cut."""
    measures: tuple[Measure, ...]


@dataclass(frozen=True)
class Found:
    """What an evaluation has, to be compared with its protocol."""

    frames: int
    size: Size
    fps: float | None
    real_clips: int
    samples: int
    """Of the smallest set."""
    seeds: Collection[int]
    repeats: int
    """Sets of samples."""
    prompts: Sequence[str]
    """Of one set."""
    conditioning: str
    """Of the base model: ``none``, ``class`` or ``text``."""
    training_classes: Mapping[str, int]
    """Class, as a prompt says it -> training clips of it."""
    beginning: str
    given_frames: int
    """First frames that the model was given."""


@cache
def load_protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        ConfigurationError: there is none, or a key of its file is wrong; one line names it.
    """
    known = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    if name not in known:
        hint = did_you_mean(name, known, f"there are {', '.join(known)}")
        raise ConfigurationError(f"evaluate.protocol: no protocol is called '{name}'{hint}")
    return load_section(FOLDER / f"{name}.yaml", Protocol)


def measures_of(config: EvaluateConfig) -> tuple[Measure, ...]:
    """Those of the protocol; with ``evaluate.features`` all that this network can give of them, once each."""
    measures = load_protocol(config.protocol).measures
    if config.features is None:
        return measures
    wanted = dict.fromkeys(metric for measure in measures for metric in measure.metrics)
    metrics = tuple(metric for metric in wanted if metric in _OF_FEATURES)
    return (Measure(network=config.features, metrics=metrics or ("frechet_distance",), splits=None),)


def statistics_of(config: EvaluateConfig) -> dict[NetworkName, NetworkFile]:
    """The files to which Frechet distances are taken, by network; to the clips where there is none."""
    asked = load_protocol(config.protocol).real.statistics and config.features is None
    networks = networks_of(config)
    return {name: file for name, file in config.statistics.items() if asked and name in networks}


def networks_of(config: EvaluateConfig) -> tuple[NetworkName, ...]:
    """The networks that an evaluation calls, once each."""
    return tuple(dict.fromkeys(measure.network for measure in measures_of(config)))


def frames_left_out(config: EvaluateConfig) -> int:
    """So many first frames of each clip are given, and left out of the evaluation."""
    protocol = load_protocol(config.protocol)
    return 0 if protocol.judge_given_frames else protocol.given_frames


def departures(config: EvaluateConfig, found: Found) -> list[str]:
    """In what an evaluation is not what its protocol says: a phrase each, empty where it is."""
    protocol = load_protocol(config.protocol)
    real, made, form = protocol.real, protocol.generated, protocol.form
    said = []
    if config.features is not None:
        said.append(f"by {config.features}")
    if form is not None and (found.frames, found.size) != (form.frames, (form.height, form.width)):
        said.append(f"{found.frames} frames of {size_folder(found.size)}")
    if form is not None and found.fps is not None and found.fps != form.fps:
        said.append(f"{found.fps:g} frames per second")
    if found.real_clips != real.clips:
        said.append(f"{found.real_clips} real clips")
    if real.statistics and set(networks_of(config)) - statistics_of(config).keys():
        said.append("without the reference statistics")
    if made.clips is not None and found.samples != made.clips:
        said.append(f"{found.samples} samples")
    if made.seed is not None and {*found.seeds} != {made.seed}:
        said.append(f"seed {' and '.join(map(str, sorted({*found.seeds})))}")
    if found.repeats != made.repeats:
        said.append(f"{found.repeats} of {made.repeats} repeats")
    return said + _of_conditions(protocol, found)


def _of_conditions(protocol: Protocol, found: Found) -> list[str]:
    """In what the samples were made of other conditions than the protocol's."""
    made, said, asked = protocol.generated, [], Counter(found.prompts)
    if made.conditions in ("class", "text", "none") and found.conditioning != made.conditions:
        said.append(f"a model of conditioning {found.conditioning}")
    elif made.conditions == "class" and "" in asked:
        said.append(f"{asked['']} samples of no class")
    if made.prompts is not None and (others := len(asked.keys() - set(made.prompts))):
        said.append(f"{others} other prompts")
    if made.prompts is not None and (missing := len(set(made.prompts) - asked.keys())):
        said.append(f"without {missing} of its {len(made.prompts)} prompts")
    if made.balance == "even" and max(asked.values()) - min(asked.values()) > 1:
        said.append("not each prompt as often")
    if made.balance == "training" and not _has_proportions(asked, found.training_classes):
        said.append("classes not as in the training clips")
    if (made.conditions == "frames") != (found.beginning == "video") and made.conditions != "any":
        said.append(f"sample.beginning {found.beginning}")
    elif protocol.given_frames != found.given_frames and made.conditions != "any":
        said.append(f"{found.given_frames} given frames")
    return said


def _has_proportions(asked: Mapping[str, int], clips: Mapping[str, int]) -> bool:
    """Whether each class is asked for as often as its share of the clips says, to one video."""
    samples, all_clips = sum(asked.values()), max(sum(clips.values()), 1)
    return all(
        abs(asked.get(label, 0) - samples * clips.get(label, 0) / all_clips) <= 1.0 for label in {*asked, *clips}
    )


def label(config: EvaluateConfig, differences: Sequence[str]) -> str:
    """Name and digest of what a number was measured by, as it is printed beside it and compared."""
    content = load_protocol(config.protocol).model_dump(mode="json", exclude={"title", "about"})
    digest = sha256_json([content, list(differences)])[:_DIGITS]
    return f"{config.protocol}{''.join(f', {said}' for said in differences)} ({digest})"
