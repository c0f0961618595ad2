#!/usr/bin/env bash
# all_reduce(MAX) over gloo finds a NaN or loses it, depending on which rank has it and where in the tensor.
#
# Guess:  the maximum over ranks is that of torch.maximum and Tensor.max: one NaN anywhere makes the result NaN; so one
#         all_reduce of the losses or of the largest gradient tells all ranks that one of them is not finite.
# Truth:  gloo compares with `<`, and the order of comparisons depends on rank and place. With two ranks a NaN of rank 0
#         survives in a single number and at the start of a long tensor, that of rank 1 at its end; with four ranks a
#         NaN of rank 1 or 2 is lost everywhere. MIN is the same. Sum carries it always, and so does a flag:
#         all_reduce(isfinite as an integer, MIN).
# Seen:   torch 2.13.0, gloo, 2 and 4 ranks
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
cat > ranks.py <<'PY'
import json
import sys

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

LENGTHS = {"a number": 1, "100 000": 100_000}


def found(rank, world, holder, op, length):
    """Whether first and last element of the reduced tensor are NaN, after ``holder`` alone gave NaN."""
    value = torch.full((length,), float("nan") if rank == holder else float(rank))
    dist.all_reduce(value, op=getattr(dist.ReduceOp, op))
    return [bool(value[0].isnan()), bool(value[-1].isnan())]


def work(rank, world, store):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    seen = {
        op: {name: [found(rank, world, holder, op, length) for holder in range(world)] for name, length in LENGTHS.items()}
        for op in ("MAX", "MIN", "SUM")
    }
    everybody = [None] * world
    dist.all_gather_object(everybody, seen)
    if rank == 0:
        with open(f"seen{world}.json", "w") as file:
            json.dump({"same on all ranks": all(s == seen for s in everybody), **seen}, file)
    dist.destroy_process_group()


if __name__ == "__main__":
    print("torch", torch.__version__)
    kept = {}
    for world in (2, 4):
        mp.spawn(work, (world, f"{sys.argv[1]}/store{world}"), nprocs=world)
        seen = json.load(open(f"seen{world}.json"))
        for op in ("MAX", "MIN", "SUM"):
            for name in LENGTHS:
                for holder, (first, last) in enumerate(seen[op][name]):
                    kept[world, op, name, holder] = (first, last)
                    print(f"{world} ranks {op} NaN on {holder}, {name:8}: first {'NaN' if first else 'lost'}, "
                          f"last {'NaN' if last else 'lost'}")
    if not all(all(kept[k]) for k in kept if k[1] == "SUM"):
        sys.exit("CHANGED: what it is compared with does not hold")
    compared = [kept[k] for k in kept if k[1] == "MAX"]
    if all(all(pair) for pair in compared):
        sys.exit("CHANGED: a NaN anywhere makes the maximum NaN")
    if not any(any(pair) for pair in compared):
        sys.exit("CHANGED: a NaN is always lost")
    if any(kept[4, "MAX", "a number", holder][0] for holder in (1, 2)) or not kept[4, "MAX", "a number", 0][0]:
        sys.exit("CHANGED: it depends on the rank in another way")
    print("HOLDS: whether the maximum is NaN depends on the rank that has it and on the place in the tensor")
PY
venv/bin/python ranks.py "$work"
