"""The named terms of a training step's loss: their means over the steps between two lines of the log, and what becomes
of a step in which they are not finite.

Such steps are skipped, some in a row; one more ends the run. A skipped step changes neither weights nor optimizer nor
moving average; it is counted, so the next one has the next batch. It is a function of the run's state alone, so a run
that was killed and resumed skips the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from walt.core.log import warning


@dataclass(frozen=True)
class Average:
    """A term of some of a step's samples: its mean is over the samples of all steps, not over the steps."""

    total: Tensor
    """The sum over the samples, a scalar."""
    count: int
    """How many there are, at least 1."""


Terms = Mapping[str, Tensor | Average]
"""Named scalars of a step; ``loss`` is the one that is minimised."""


def add_terms(sums: dict[str, Tensor | Average], terms: Terms) -> None:
    """Add the terms of one more part of a step to ``sums``, without their graphs."""
    for name, term in terms.items():
        before = sums.get(name)
        if isinstance(term, Average):
            term = Average(term.total.detach(), term.count)
            if isinstance(before, Average):
                term = Average(before.total + term.total, before.count + term.count)
        else:
            term = term.detach()
            if isinstance(before, Tensor):
                term = before + term
        sums[name] = term


@dataclass
class Means:
    """Means of named scalars, summed on their device, from which they are read only in ``take``."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, values: Terms) -> None:
        """Add one more value of each name, or as many as an ``Average`` has."""
        for name, value in values.items():
            total, count = (value.total, value.count) if isinstance(value, Average) else (value, 1)
            total = total.detach().double()
            self.sums[name] = self.sums[name].to(total.device) + total if name in self.sums else total
            self.counts[name] = self.counts.get(name, 0) + count

    def take(self) -> dict[str, float]:
        """The means of what was added since the last call."""
        means = {name: total / self.counts[name] for name, total in self._read().items()}
        self.sums, self.counts = {}, {}
        return means

    def state(self) -> dict[str, Any]:
        """For a checkpoint: exact, since JSON keeps every bit of a float."""
        return {"sums": self._read(), "counts": dict(self.counts)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Load a saved state."""
        self.sums = {name: torch.tensor(total, dtype=torch.float64) for name, total in state["sums"].items()}
        self.counts = dict(state["counts"])

    def _read(self) -> dict[str, float]:
        """The sums, all at once: their device is waited for once."""
        if not self.sums:
            return {}
        # after a resume, terms that have not come again are still on the CPU
        device = next((total.device for total in self.sums.values() if total.device.type != "cpu"), None)
        values = torch.stack([total.to(device) for total in self.sums.values()]).tolist()
        return dict(zip(self.sums, values, strict=True))


class FiniteGuard:
    """Decides whether a step may be taken.

    Args:
        name: of the run, for messages.
        allowed: how many steps in a row are skipped.
    """

    def __init__(self, name: str, allowed: int) -> None:
        self.name, self.allowed = name, allowed
        self.skipped: list[int] = []
        """All steps that were skipped, from 0."""
        self.in_a_row = 0
        """How many of them came directly before the present step."""
        self._last = ""

    def may_take(self, step: int, values: Mapping[str, float]) -> bool:
        """Whether all ``values``, losses and norms of gradients, are finite. If not, the step is noted as skipped."""
        bad = {name: value for name, value in values.items() if not math.isfinite(value)}
        if not bad:
            self.in_a_row = 0
            return True
        self.in_a_row += 1
        self.skipped.append(step)
        self._last = ", ".join(f"{name} {value}" for name, value in bad.items())
        if not self.diverged:
            warning(
                f"{self.name}: step {step} is skipped: {self._last} ({self.in_a_row} in a row; {self.allowed} may be)"
            )
        return False

    @property
    def what_happened(self) -> str:
        """What was not finite in the last such step, for a message."""
        before = self.in_a_row - 1
        return self._last + (f", after {before} in a row that were skipped," if before > 0 else "")

    @property
    def diverged(self) -> bool:
        """Whether more steps in a row were not finite than may be."""
        return self.in_a_row > self.allowed

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"skipped": list(self.skipped), "in_a_row": self.in_a_row}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Load a saved state."""
        self.skipped, self.in_a_row = list(state["skipped"]), state["in_a_row"]

    def forgive(self) -> None:
        """Count the row anew: something was changed about the run, so what comes next is another attempt."""
        self.in_a_row = 0
