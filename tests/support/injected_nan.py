"""``python -m tests.support.injected_nan STAGE ...``: ``walt``, where the loss is NaN from a step on at a high rate.

Of transformers: in each step from the fifth on, and at a learning rate above 1e-4. A lower rate passes the place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from walt import cli
from walt.training.diffusion_objective import DiffusionObjective

FIRST_BAD_STEP = 5
HIGHEST_GOOD_RATE = 1e-4
_losses = DiffusionObjective.losses


def losses(self: DiffusionObjective, step: int, *rest: Any) -> Iterator[Any]:
    """The step's terms, spoilt."""
    bad = step >= FIRST_BAD_STEP and self.config.optimizer.learning_rate > HIGHEST_GOOD_RATE
    for terms in _losses(self, step, *rest):
        yield {**terms, "loss": terms["loss"] * float("nan")} if bad else terms


if __name__ == "__main__":
    DiffusionObjective.losses = losses  # type: ignore[method-assign]
    cli.main()
