"""Settings of the machine: they change how fast a stage runs, never its results."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from walt.core.config import Section


class ComputeConfig(Section):
    """The ``compute`` section."""

    workers: PositiveInt
    """Processes that decode videos at the same time."""
    backend: Literal["inline", "process", "ray"]
    """Where these processes run: in this process, in a pool on this machine, or on a Ray cluster."""
    device: Literal["auto", "cpu", "cuda"]
    """Device of tensors; ``auto`` uses a GPU if there is one."""
