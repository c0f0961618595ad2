"""What the ranks of a stage tell each other besides gradients: that one must stop, what each has made, whose turn it
is.

Every function is called by all ranks in the same order, and waits until all have called it; one process alone waits for
nothing. Flags and bytes travel between processors (gloo), so no accelerator is waited for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load, save
from torch import Tensor

from walt.core.ranks import become, ranks


def join(device: str, timeout_minutes: float) -> None:
    """Meet the other ranks, which the environment names as ``torch.distributed.run`` sets it; see ``ranks``.

    Args:
        device: "cpu" or "cuda", where the rank takes the GPU of its local number.
        timeout_minutes: a rank that is waited for longer than this is taken for lost.
    """
    if not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=timedelta(minutes=timeout_minutes))
    become(dist.get_rank(), dist.get_world_size())


def leave() -> None:
    """Part from the other ranks, where there are any."""
    if dist.is_initialized():
        dist.destroy_process_group()
    become(0, 1)


def any_rank(flag: bool) -> bool:
    """Whether the flag is set on at least one rank."""
    if ranks().count == 1:
        return flag
    found = torch.tensor(int(flag))
    dist.all_reduce(found, op=dist.ReduceOp.MAX)
    return bool(found)


def wait_for_all() -> None:
    """Wait until all ranks are here."""
    any_rank(False)


@contextmanager
def first_goes_ahead() -> Iterator[None]:
    """The first rank runs the block while the others wait; then they run it, and find what it has left on disk."""
    if not ranks().is_first:
        wait_for_all()
    try:
        yield
    finally:
        if ranks().is_first:
            wait_for_all()


def gather_bytes(data: bytes) -> list[bytes]:
    """What each rank gives, in the order of the ranks, on all of them."""
    count = ranks().count
    if count == 1:
        return [data]
    sizes = torch.zeros(count, dtype=torch.int64)
    sizes[ranks().rank] = len(data)
    dist.all_reduce(sizes)
    longest = int(sizes.max())
    own = torch.zeros(longest, dtype=torch.uint8)
    own[: len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else own[:0]
    found = [torch.empty_like(own) for _ in range(count)]
    dist.all_gather(found, own)
    return [tensor[:size].numpy().tobytes() for tensor, size in zip(found, sizes.tolist(), strict=True)]


def gather(value: Any) -> list[Any]:
    """What each rank gives, in the order of the ranks, on all of them. The values are JSON, which keeps every bit."""
    if ranks().count == 1:
        return [value]
    return [json.loads(data) for data in gather_bytes(json.dumps(value).encode())]


def gather_shares(own: Sequence[Any]) -> list[Any]:
    """The results of all items of a list of which each rank worked on its ``Ranks.share``, in the list's order.

    They are JSON; on one rank they are what was given.
    """
    return _in_order(gather(list(own)))


def gather_tensors(own: Sequence[Tensor]) -> list[Tensor]:
    """As ``gather_shares``, of tensors on the processor."""
    if ranks().count == 1:
        return list(own)
    shares = gather_bytes(save({str(place): tensor.contiguous() for place, tensor in enumerate(own)}))
    return _in_order([[found[str(place)] for place in range(len(found))] for found in map(load, shares)])


def _in_order(shares: Sequence[Sequence[Any]]) -> list[Any]:
    total = sum(map(len, shares))
    return [shares[place % len(shares)][place // len(shares)] for place in range(total)]
