"""Settings of the machine: they change how fast a stage runs, never what it makes."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from walt.core.config import Section


class ComputeConfig(Section):
    """The ``compute`` section."""

    workers: PositiveInt
    """Processes that decode videos at the same time."""
    backend: Literal["inline", "process", "ray"]
    """Where they run: in this process, in a pool on this machine, or on a Ray cluster."""
    device: Literal["auto", "cpu", "cuda"]
    """Where tensors live; ``auto`` takes a GPU when there is one."""
