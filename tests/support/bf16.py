"""Precision bf16 as on a processor that has instructions for it, on any: slower, and the same types."""

from __future__ import annotations

import pytest

ASKED = "walt.nn.device._processor_computes_bf16"
"""What is asked; by name, since most tests need no torch."""


@pytest.fixture
def bf16_on_any_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Precision bf16 is bf16, in this process."""
    monkeypatch.setattr(ASKED, lambda: True)
