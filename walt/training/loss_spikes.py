"""Loss spikes: a loss far above what was usual. They are reported, nothing else: the run goes on as it would."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping
from typing import Any

from walt.core.log import warning

_WINDOW = 100
_FEWEST = 20
"""Losses that must be known before any is called unusual."""
_NORMAL = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""
_SMALLEST = 0.01
"""The deviation counts as at least this share of the median: losses that hardly differ do not warrant a warning."""


class LossSpikes:
    """Compares each loss with the median of the last ``_WINDOW``: a few spikes among them change it little.

    Args:
        name: of the run, for messages.
        threshold: a loss is a spike when it is so many deviations above the median, where the deviation is estimated
            from the median absolute deviation; None: none is.
    """

    def __init__(self, name: str, threshold: float | None) -> None:
        self.name, self.threshold = name, threshold
        self.count = 0
        self._recent: dict[str, deque[float]] = {}
        self._within: set[str] = set()

    def add(self, step: int, losses: Mapping[str, float]) -> None:
        """Note the finite losses of a step by name; the first of a row of spikes is a warning, each is counted."""
        if self.threshold is None:
            return
        for term, loss in losses.items():
            recent = self._recent.setdefault(term, deque(maxlen=_WINDOW))
            median, deviation = _centre_and_deviation(recent) if len(recent) >= _FEWEST else (loss, 1.0)
            if loss - median > self.threshold * deviation:
                self.count += 1
                if term not in self._within:
                    warning(
                        f"{self.name}: step {step}: {term} {loss:.4g} is a spike, {(loss - median) / deviation:.0f} "
                        f"deviations above the median {median:.4g} of the last {len(recent)}"
                    )
                self._within.add(term)
            else:
                self._within.discard(term)
            recent.append(loss)

    def state(self) -> dict[str, Any]:
        """For a checkpoint: a run that was killed and resumed reports the same spikes."""
        recent = {term: list(losses) for term, losses in self._recent.items()}
        return {"count": self.count, "recent": recent, "within": sorted(self._within)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Load a saved state."""
        self.count, self._within = state["count"], set(state["within"])
        self._recent = {term: deque(losses, maxlen=_WINDOW) for term, losses in state["recent"].items()}


def _centre_and_deviation(losses: deque[float]) -> tuple[float, float]:
    """Median, and the estimate of the standard deviation, above 0."""
    median = statistics.median(losses)
    deviation = _NORMAL * statistics.median(abs(loss - median) for loss in losses)
    return median, max(deviation, _SMALLEST * abs(median), 1e-12)
