"""Which of a clip's captions is taken where only one is needed: a stated one, or a drawn one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from walt.core.errors import ConfigurationError
from walt.core.suggestions import did_you_mean


@dataclass(frozen=True)
class CaptionChoice:
    """How one of a clip's captions is chosen: by a random number where there is one, else by its name."""

    name: str | None = None
    """Of the stated caption; None: a clip's first one."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Of each caption, by its name; a name that is not in it has weight 1."""

    def place(self, names: Sequence[str], draw: float | None) -> int:
        """The place of the chosen one among a clip's captions; 0 also where there is none.

        Args:
            names: of the clip's captions, in their order.
            draw: uniform in [0, 1); None: the stated one.
        """
        if len(names) < 2:
            return 0
        return stated(names, self.name) if draw is None else drawn(names, self.weights, draw)


FIRST = CaptionChoice()
"""A clip's first caption is the stated one, and all have the same weight."""


def stated(names: Sequence[str], wanted: str | None) -> int:
    """The place of the first caption that is called ``wanted``; where none is, or ``wanted`` is None, the first place.

    Args:
        names: of a clip's captions, in their order; there is at least one.
    """
    return names.index(wanted) if wanted in names else 0


def drawn(names: Sequence[str], weights: Mapping[str, float], draw: float) -> int:
    """The place of the caption that a random number draws.

    Args:
        names: of a clip's captions, in their order; there is at least one.
        weights: of each caption, by its name; a name that is not in it has weight 1.
        draw: uniform in [0, 1).
    """
    shares = shares_of(names, weights)
    left, chosen = draw * sum(shares), 0
    for place, share in enumerate(shares):
        if share:
            chosen = place
            if left < share:
                break
            left -= share
    return chosen


def shares_of(names: Sequence[str], weights: Mapping[str, float]) -> list[float]:
    """The weight of each caption: that of its name, or 1."""
    return [weights.get(name, 1.0) for name in names]


def check_names(wanted: Iterable[str], names: Collection[str], key: str) -> None:
    """Raise ConfigurationError, one line that names those that there are, where no caption has a wanted name.

    Args:
        names: of all captions.
        key: the YAML key, or the option, that names the wanted ones.
    """
    for name in wanted:
        if name not in names:
            there = sorted(other for other in names if other)
            known = f"names: {', '.join(there)}" if there else "the captions have no names"
            raise ConfigurationError(f"{key}: no caption is called '{name}'{did_you_mean(name, there)} ({known})")
