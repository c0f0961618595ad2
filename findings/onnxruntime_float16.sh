#!/usr/bin/env bash
# A float16 model in ONNX Runtime on the CPU is not computed in float16: what overflows on a GPU does not here.
#
# Guess:  a model whose tensors are all float16 gives on the CPU what float16 gives, each node's output rounded to it, if slowly:
#         so the CPU is where one looks whether a converted model overflows.
# Truth:  nodes without a kernel for float16 are computed in float32, and the roundings between two of them are taken out: of
#         60000 + 60000 - 60000 comes 60000 where float16 has infinity, of 2048 + 1 - 2048 comes 1 for 0. What is looked at
#         changes what is seen: as an output of the model the sum is infinite, and the difference is 60000 still. With all
#         graph optimizations disabled it is the same.
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
levels = {"all optimizations": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL, "none": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL}


def computed(first, second, level, shown):
    """first + second - first, and the sum where it is an output, too."""
    kind = TensorProto.FLOAT16
    names = ["sum", "difference"] if shown else ["difference"]
    nodes = [helper.make_node("Add", ["x", "y"], ["sum"]), helper.make_node("Sub", ["sum", "x"], ["difference"])]
    given = [helper.make_tensor_value_info(name, kind, [1]) for name in "xy"]
    graph = helper.make_graph(nodes, "graph", given, [helper.make_tensor_value_info(name, kind, [1]) for name in names])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x, y = np.array([first], np.float16), np.array([second], np.float16)
    return [float(value[0]) for value in session.run(None, {"x": x, "y": y})]


seen, right = {}, {}
for first, second in ((60000, 60000), (2048, 1), (8, 1)):
    with np.errstate(over="ignore"):
        total = np.float16(first) + np.float16(second)
        right[first] = [float(total), float(total - np.float16(first))]
    print(f"{first} + {second}, less {first}: NumPy in float16 {right[first]}")
    for name, level in levels.items():
        seen[first, name] = computed(first, second, level, False) + computed(first, second, level, True)
        print(f"  {name:17}: {seen[first, name][0]}; with the sum as an output {seen[first, name][1:]}")
if any(seen[8, name] != [1.0, 9.0, 1.0] for name in levels) or right[60000] != [np.inf, np.inf] or right[2048][1] != 0:
    sys.exit("CHANGED: what it is compared with does not hold")
if any(seen[60000, name][0] != np.float16(60000) or seen[2048, name][0] != 1 for name in levels):
    sys.exit("CHANGED: each node's output is rounded to float16")
if any(seen[60000, name][1:] != [np.inf, float(np.float16(60000))] for name in levels):
    sys.exit("CHANGED: as an output the sum is another")
print("HOLDS: 60000 + 60000 - 60000 in float16 is", seen[60000, "all optimizations"][0])
PY
