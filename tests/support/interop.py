"""The environment of readers that cannot be installed beside this project (``make interop``)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "WALT_INTEROP_PYTHON"
"""Names its Python; ``make interop`` sets it."""
INTEROP = Path(os.environ[VARIABLE]) if VARIABLE in os.environ else None

needs_interop = pytest.mark.skipif(
    INTEROP is None, reason="needs energon and litdata in an environment of their own: make interop"
)
