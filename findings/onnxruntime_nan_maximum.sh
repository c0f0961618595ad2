#!/usr/bin/env bash
# The maximum that ONNX Runtime takes over numbers with a NaN among them is neither NaN nor the maximum of the others.
#
# Guess:  ReduceMax is NaN where there is one, as torch.amax and np.max are and as Max, Clip, Relu and ReduceSum of ONNX Runtime
#         are; or it leaves the NaN out. So a check of an exported model's output for NaN finds what went wrong in it.
# Truth:  on the CPU it is NaN where the NaN comes first. Elsewhere what is left depends on the place: of 0, 1/8 .. 7/8 with
#         NaN in the place of 1/8 it is 6/8, less than the last entry. ReduceMin and GlobalMaxPool lose it as well: the NaN of
#         a score or of a frame comes out as an ordinary number.
# Seen:   onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6, CPU
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
venv/bin/python -W ignore - <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

print("onnxruntime", onnxruntime.__version__, "onnx", onnx.__version__)


def computed(kind, values, **attributes):
    """What the operator gives of `values`, an array of float32."""
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, values.shape)
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    names = ["x", "x"] if kind in ("Max", "Min") else ["x"]
    graph = helper.make_graph([helper.make_node(kind, names, ["y"], **attributes)], "graph", [given], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": values})[0]


def with_nan(count, place):
    values = np.arange(count, dtype=np.float32) / count
    values[place] = np.nan
    return values


places = [(8, 0), (8, 1), (8, 4), (100, 1), (100, 50)]
seen = {}
for kind in ("ReduceMax", "ReduceMin", "ReduceSum"):
    for count, place in places:
        seen[kind, count, place] = float(computed(kind, with_nan(count, place), keepdims=0))
        others = np.delete(np.arange(count) / count, place)
        print(f"{kind} of {count:3}, NaN at {place:2}: {seen[kind, count, place]:.3f}; without the NaN {others.min():.3f} to {others.max():.3f}")
left = {}
for kind in ("GlobalMaxPool", "Relu", "Max"):
    output = computed(kind, with_nan(8, 1).reshape(1, 1, 1, 8))
    left[kind] = bool(np.isnan(output).any())
    print(f"{kind:13} of 8 with NaN at 1: NaN in the output: {left[kind]}; {output.ravel()}")
if not np.isnan([seen["ReduceSum", *place] for place in places]).all() or not left["Relu"] or not left["Max"]:
    sys.exit("CHANGED: what it is compared with does not hold")
if left["GlobalMaxPool"]:
    sys.exit("CHANGED: pooling keeps a NaN")
if not seen["ReduceMax", 8, 1] < 7 / 8 or not seen["ReduceMax", 100, 1] < 0.99:
    sys.exit("CHANGED: a NaN is kept, or the maximum is that of the others")
if np.isnan(seen["ReduceMin", 8, 1]):
    sys.exit("CHANGED: ReduceMin keeps a NaN")
print("HOLDS: the maximum with a NaN at the second place of eight is", seen["ReduceMax", 8, 1])
PY
