"""``python -m tests.support.injected_hang STAGE ...``: ``walt``, where the second rank of a transformer hangs
in its sixth step, as in a library that waits for ever.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from walt import cli
from walt.core.ranks import ranks
from walt.training.diffusion_objective import DiffusionObjective

FIRST_STEP = 5
_losses = DiffusionObjective.losses


def losses(self: DiffusionObjective, step: int, *rest: Any) -> Iterator[Any]:
    """The step's terms, of which none comes."""
    if step == FIRST_STEP and ranks().rank == 1:
        wait_for_ever()
    yield from _losses(self, step, *rest)


def wait_for_ever() -> None:
    """What is to be seen in the stack."""
    while True:
        time.sleep(1)


if __name__ == "__main__":
    DiffusionObjective.losses = losses  # type: ignore[method-assign]
    cli.main()
