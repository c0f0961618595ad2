"""torch.compile for training: block by block, since a model's blocks are many and alike."""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from torch import nn

from walt.core.errors import ConfigurationError

_GRAPHS = 64
"""Versions that one block's code may be compiled in: kinds of windows x videos or images x with or without gradient x
sizes of a step's parts. The default of 8 is too few, and what goes beyond it would silently not be compiled."""


def compile_blocks(blocks: Iterable[nn.Module], device: str, key: str) -> None:
    """Have each block compiled when it is first called. Names of parameters, and so checkpoints, stay as they are.

    Each shape of input gets code of its own. A block that cannot be compiled is an error; it never runs uncompiled.

    Args:
        key: the setting that asks for it, for messages.

    Raises:
        ConfigurationError: on processors the compiled code is C++, and there is no compiler or no Python header.
    """
    if device == "cpu" and (missing := missing_for_processors()):
        raise ConfigurationError(f"{key} is true, which on processors needs {missing}")
    import torch._dynamo.config  # here: it takes seconds, and most runs do not compile

    torch._dynamo.config.recompile_limit = _GRAPHS
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    for block in blocks:
        block.compile(fullgraph=True, dynamic=False)


def missing_for_processors() -> str | None:
    """What torch.compile lacks on this machine to make code for processors; None if it has all."""
    compiler = os.environ.get("CXX") or "g++"
    if shutil.which(compiler) is None:
        return f"a C++ compiler: there is no '{compiler}' (the variable CXX can name another)"
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not header.is_file():
        return f"Python's headers: there is no {header}"
    return None
