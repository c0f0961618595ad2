"""Section ``promotion``: by which rule a new release takes the alias. Rules are pure functions of figures.

A rule is a class here: its fields are its settings in ``params.yaml``, ``metrics`` names the figures that it needs,
``is_fit_to_be_first`` and ``is_better`` decide. ``PromotionConfig`` is the union of all rules; ``promotion.rule``
selects one.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import PositiveFloat

from walt.core.config import Section
from walt.core.figures import PROTOCOL, Difference, Figure, difference, differing, significant

Figures = Mapping[str, Figure]
"""Metric -> figure, of all metrics that a rule needs."""

Better = Literal["higher", "lower"]
"""Which of two values is the better one."""


@dataclass(frozen=True)
class Decision:
    """Whether the release takes the alias, and the reason as the end of a sentence."""

    better: bool
    reason: str
    differences: Mapping[str, Difference] = field(default_factory=dict)
    """Metric -> the new value minus the old one, of the metrics that were compared."""


class PromotionRule(Section):
    """What every rule has."""

    alias: str

    @property
    @abstractmethod
    def metrics(self) -> dict[str, str]:
        """Key of this section -> the metric it names, a key of ``results/evaluation.json``'s metrics."""

    @abstractmethod
    def is_fit_to_be_first(self, new: Figures) -> Decision:
        """Whether a release takes an alias without having to beat another one."""

    @abstractmethod
    def is_better(self, new: Figures, old: Figures, version: str) -> Decision:
        """Compare a release with the one that has the alias. All values are finite, and each pair was measured on the
        same; ``version`` names the old one."""


class Guard(Section):
    """A metric that may not get worse."""

    metric: str
    better: Better


class BetterBeyondChance(PromotionRule):
    """One metric is better by more than chance may give, and no other is worse by more than that.

    What chance may give is half the width of the difference's interval: of its 95 % by a paired bootstrap over the
    videos (``walt.core.figures``). Two models that are as good as each other differ by more than 1.5 of it in one of
    300 comparisons, in either direction.
    """

    rule: Literal["better_beyond_chance"]
    metric: str
    better: Better
    margin: PositiveFloat
    """The new value must be better by more than so many halves of the difference's interval."""
    guards: tuple[Guard, ...]
    """None of these may be worse by more than half of its difference's interval."""
    floor: float | None
    """Of the metric: with its whole interval the first release must be at least as good; null: any takes the alias."""

    @property
    def metrics(self) -> dict[str, str]:
        guards = {f"guards.{place}.metric": guard.metric for place, guard in enumerate(self.guards)}
        return {"metric": self.metric, **guards}

    def is_fit_to_be_first(self, new: Figures) -> Decision:
        figure = new[self.metric]
        said = f"{self.metric} {figure}"
        if self.floor is None:
            return Decision(True, said)
        fit = figure.low >= self.floor if self.better == "higher" else figure.high <= self.floor
        side = "above" if self.better == "higher" else "below"
        return Decision(fit, f"{said}, {'' if fit else 'not '}{side} the floor {self.floor:g} with its whole interval")

    def is_better(self, new: Figures, old: Figures, version: str) -> Decision:
        found = {name: difference(new[name], old[name]) for name in dict.fromkeys(self.metrics.values())}
        primary = found[self.metric]
        gain, chance = _gain(primary, self.better), self.margin * primary.half_width
        reasons = [
            f"{self.metric} {new[self.metric]} against {old[self.metric]} of version {version}, "
            f"{'' if gain > chance else 'not '}better by more than chance may give "
            f"(gain {significant(gain, sign='+')}, needed are {self.margin:g} x {significant(primary.half_width)})"
        ]
        worse = [
            f"{guard.metric} {new[guard.metric]} against {old[guard.metric]} is worse by "
            f"{significant(-_gain(found[guard.metric], guard.better))}, more than the "
            f"{significant(found[guard.metric].half_width)} that chance may give"
            for guard in self.guards
            if -_gain(found[guard.metric], guard.better) > found[guard.metric].half_width
        ]
        if self.guards and not worse:
            reasons.append(f"not worse in {', '.join(guard.metric for guard in self.guards)}")
        return Decision(gain > chance and not worse, "; ".join([*reasons, *worse]), found)


PromotionConfig = BetterBeyondChance
"""The ``promotion`` section. With a second rule: ``Annotated[A | B, Field(discriminator="rule")]``."""


def _gain(of: Difference, better: Better) -> float:
    return of.value if better == "higher" else 0.0 - of.value  # and not -0 of equal ones


def decide(
    rule: PromotionRule, new: Figures, old: Figures | None, version: str | None, why_first: str = "it is the first"
) -> Decision:
    """Whether a release takes the alias.

    Args:
        new: what the release reached, all of the rule's metrics.
        old: what the release with the alias reached, as far as it can be measured; None where none is to be beaten.
        version: of the release with the alias.
        why_first: why none is, in a few words.
    """
    if unfit := [name for name, figure in new.items() if not math.isfinite(figure.value)]:
        return Decision(False, ", ".join(f"{name} is {new[name].value}" for name in unfit))
    if old is None or version is None:
        fit = rule.is_fit_to_be_first(new)
        return replace(fit, reason=f"{why_first}, with {fit.reason}")
    for name, figure in new.items():
        if (reason := not_comparable(name, figure, old.get(name), version)) is not None:
            return Decision(False, reason)
    return rule.is_better(new, old, version)


def not_comparable(name: str, new: Figure, old: Figure | None, version: str) -> str | None:
    """Why two values of a metric say nothing about which model is better; None where they do."""
    if old is None:
        return f"version {version} cannot be measured by {name} with what is here"
    if others := differing(new, old):
        if PROTOCOL in others:
            protocols = " and ".join(f"'{figure.conditions.get(PROTOCOL, 'none')}'" for figure in (new, old))
            return f"{name} of version {version} is of another protocol ({protocols}): such numbers are not compared"
        said = f"{name} of version {version} was not measured on the same ({', '.join(others)})"
        return f"{said}: losses in two latent spaces are not compared" if "autoencoder" in others else said
    if not math.isfinite(old.value):
        return f"{name} of version {version} is {old.value}"
    if new.items != old.items or min(len(new.replicates), len(old.replicates)) < 2:
        drawn = [figure.independent for figure in (new, old) if figure.independent is not None]
        if drawn:
            few, what = min(drawn), "recording or prompt" if min(drawn) == 1 else "recordings or prompts"
        else:
            few, what = min(new.items, old.items), "clips"
        return f"{name} was measured on {few} {what}, too few for an interval"
    if not all(map(math.isfinite, (*new.replicates, *old.replicates))):
        return f"{name} is not a number for some draws of its clips, and so has no interval"
    if new.value != old.value and all(figure.is_constant and figure.low == figure.high for figure in (new, old)):
        return f"{name} is the same for each clip, of both: a constant, which says nothing of what chance may give"
    return None


def listed(figures: Figures) -> str:
    """Figures for a sentence."""
    return ", ".join(f"{name} {figure}" for name, figure in figures.items())
