"""``ingest.screen`` with every rule off, so that a test turns on the ones that it is about."""

from __future__ import annotations

from typing import Any, get_args

from walt.ingest.config import ScreenConfig

_CAN_BE_OFF = [name for name, field in ScreenConfig.model_fields.items() if type(None) in get_args(field.annotation)]

SCREEN_OFF: dict[str, Any] = {
    **dict.fromkeys(_CAN_BE_OFF),
    "cuts": "ignore", "cut_score": 27.0, "cut_ratio": 1.8, "black_level": 24.0, "frozen_level": 0.02,
    "duplicate_colour": 16.0,
}  # fmt: skip
"""A threshold that may be null is null: a new one needs no line here."""
