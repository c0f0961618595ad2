"""Steps whose loss or gradient is not finite: some in a row are skipped, one more ends the run.

A skipped step changes neither weights nor optimizer nor moving average; the step is counted, so the next one has the
next batch. It is a function of the run's state alone, so a run that was killed and resumed skips the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from walt.core.log import warning


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
