#!/usr/bin/env bash
# all_reduce and broadcast pair numbers by their place in memory, not by their index: one rank's channels-last tensor is scrambled.
#
# Guess:  a collective on equal shapes adds element [i, j] to element [i, j]; where ranks keep a tensor in another memory
#         layout or type it is copied, or refused.
# Truth:  memory is sent as it lies. If one rank's tensor is channels-last (or transposed) and another's is not, sums and
#         broadcasts are permuted, without an error, and the result differs between ranks. A float32 tensor broadcast into
#         an int32 one arrives as its bits. TORCH_DISTRIBUTED_DEBUG=DETAIL, which compares shapes and types, lets both pass.
# Seen:   torch 2.13.0, gloo, 2 ranks
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
cat > ranks.py <<'PY'
import sys

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def kept(rank, change):
    """Whether broadcast and sum of equal tensors are right on this rank, if rank 1 keeps them by ``change``."""
    plain = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    own = change(plain) if rank else plain
    assert torch.equal(own, plain)
    total, received = own.clone(), torch.zeros_like(own) if rank else own.clone()
    dist.all_reduce(total)
    dist.broadcast(received, 0)
    return torch.equal(total, 2 * plain), torch.equal(received, plain)


def work(rank, store, debug):
    import os

    os.environ["TORCH_DISTRIBUTED_DEBUG"] = debug
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    same = kept(rank, lambda x: x.clone())
    other = kept(rank, lambda x: x.contiguous(memory_format=torch.channels_last))
    try:
        number = torch.zeros(2, dtype=torch.int32) if rank else torch.ones(2)
        dist.broadcast(number, 0)
        kind = number.tolist()
    except RuntimeError:
        kind = "refused"
    everybody = [None, None]
    dist.all_gather_object(everybody, (same, other, kind))
    if rank == 0:
        torch.save(everybody, f"{store}.seen")
    dist.destroy_process_group()


if __name__ == "__main__":
    print("torch", torch.__version__)
    for debug in ("OFF", "DETAIL"):
        store = f"{sys.argv[1]}/{debug}"
        mp.spawn(work, (store, debug), nprocs=2)
        ranks = torch.load(f"{store}.seen")
        for rank, (same, other, kind) in enumerate(ranks):
            print(f"{debug:6} rank {rank}: (sum, broadcast) right: same layout {same}, rank 1 channels-last {other}; 1.0 into int32: {kind}")
        if not all(all(same) for same, _, _ in ranks):
            sys.exit("CHANGED: what it is compared with does not hold")
        if any(other[0] for _, other, _ in ranks) or ranks[1][1][1]:
            sys.exit("CHANGED: another layout is copied or refused")
        if ranks[1][2] != [1065353216, 1065353216]:
            sys.exit("CHANGED: another type is converted or refused")
    print("HOLDS: with channels-last on one rank the sum is wrong on both ranks, and the broadcast on the one that receives")
PY
venv/bin/python ranks.py "$work"
