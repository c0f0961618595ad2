"""Settings of the machine: they change how fast a stage runs, its results at most by rounding."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from walt.core.config import Section


class ComputeConfig(Section):
    """The ``compute`` section."""

    workers: PositiveInt
    """Processes that decode videos at the same time."""
    backend: Literal["inline", "process", "ray"]
    """Where these processes run: in this process, in a pool on this machine, or on a Ray cluster."""
    device: Literal["auto", "cpu", "cuda"]
    """Device of tensors; ``auto`` uses a GPU if there is one."""
    devices: Literal["auto"] | PositiveInt
    """How many devices of each machine the stages that train, encode, sample or evaluate use, each with a process of
    its own. ``auto``: all GPUs, or the processor once. On processors a number above 1 is of processes."""
    cpu_processes: PositiveInt
    """Where ``devices`` is ``auto`` and there is no GPU: how many processes such a stage consists of, at most one for
    each core; the autoencoder's training of at most so many as divide the batches of all its forms. For small models
    two of one thread each are faster than one of two threads; each holds the models."""
    nodes: PositiveInt
    """How many machines these stages use. More than one are those of the Ray cluster that ``RAY_ADDRESS`` names, whose
    machines share the project's folder."""
    restarts: NonNegativeInt
    """On several machines: how often in one start of a stage its processes are started again where one is lost."""
    sharding: Literal["none", "full"]
    """What each device holds of a model that is trained on several: ``none``, all of it; ``full``, its share of the
    weights, gradients and moments (FSDP2), for models that do not fit, with more traffic between the devices."""
    rank_timeout_minutes: PositiveFloat
    """A process that the others wait for longer than this, such as one that hangs, ends the stage with status 4."""
    megapixels_at_once: PositiveFloat
    """Pixels, in millions and over all clips and frames, that the autoencoder encodes or decodes at once outside its
    training. Clips of less go together; a clip of more goes in pieces of time, of f_t frames at least. It bounds
    memory, and changes results at most by rounding."""
