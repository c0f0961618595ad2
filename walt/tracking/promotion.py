"""Section ``promotion``: by which rule a new release takes the alias. Rules are pure functions of figures.

A rule is a class here: its fields are its settings in ``params.yaml``, ``metrics`` names the figures that it needs,
and ``is_better`` compares them with those of the release that has the alias. ``PromotionConfig`` is the union of all
rules; ``promotion.rule`` selects one.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import NonNegativeFloat

from walt.core.config import Section

Figures = Mapping[str, float]
"""Metric -> value, of all metrics that a rule needs."""


@dataclass(frozen=True)
class Decision:
    """Whether the release takes the alias, and the reason as the end of a sentence."""

    better: bool
    reason: str


class PromotionRule(Section):
    """What every rule has."""

    alias: str

    @property
    @abstractmethod
    def metrics(self) -> dict[str, str]:
        """Key of this section -> the metric it names, a key of ``results/evaluation.json``'s metrics."""

    @abstractmethod
    def is_better(self, new: Figures, old: Figures, version: str) -> Decision:
        """Compare a release with the one that has the alias. All figures are finite; ``version`` names the old one."""


class BetterByMargin(PromotionRule):
    """One metric is better by more than a margin."""

    rule: Literal["better_by_margin"]
    metric: str
    """One that does not depend on the autoencoder's latent space."""
    better: Literal["higher", "lower"]
    margin: NonNegativeFloat
    """The new value must be better by more than this."""

    @property
    def metrics(self) -> dict[str, str]:
        return {"metric": self.metric}

    def is_better(self, new: Figures, old: Figures, version: str) -> Decision:
        gain = new[self.metric] - old[self.metric]
        better = (gain if self.better == "higher" else -gain) > self.margin
        comparison = f"{self.metric} {new[self.metric]:.4g} against {old[self.metric]:.4g} of version {version}"
        return Decision(better, f"{comparison}, {'' if better else 'not '}better by more than {self.margin:g}")


PromotionConfig = BetterByMargin
"""The ``promotion`` section. With a second rule: ``Annotated[A | B, Field(discriminator="rule")]``."""


def decide(rule: PromotionRule, new: Figures, old: Figures | None, version: str | None) -> Decision:
    """Whether a release takes the alias.

    Args:
        new: what the release reached, all of the rule's metrics.
        old: what the release with the alias reached, as far as it was measured; None where nothing has the alias.
        version: of the release with the alias.
    """
    if unfit := [name for name, value in new.items() if not math.isfinite(value)]:
        return Decision(False, ", ".join(f"{name} is {new[name]}" for name in unfit))
    if old is None or version is None:
        return Decision(True, f"it is the first, with {listed(new)}")
    if missing := {name: value for name, value in new.items() if name not in old}:
        never = ", ".join(missing)
        return Decision(True, f"version {version} was never measured by {never}; this one has {listed(missing, False)}")
    return rule.is_better(new, old, version)


def listed(figures: Figures, names: bool = True) -> str:
    """Figures for a sentence."""
    return ", ".join(f"{name} {value:.4g}" if names else f"{value:.4g}" for name, value in figures.items())
