"""``ingest.screen`` with every rule off, so that a test turns on the ones that it is about."""

from __future__ import annotations

from typing import Any, get_args

from tests.support.settings import recipe
from walt.ingest.config import ScreenConfig

_CAN_BE_OFF = [name for name, field in ScreenConfig.model_fields.items() if type(None) in get_args(field.annotation)]

SCREEN_OFF: dict[str, Any] = {
    **recipe("ucf101").ingest.screen.model_dump(),
    **dict.fromkeys(_CAN_BE_OFF),
    "cuts": "ignore",
    "duplicate_colour": 16.0,
}
"""A threshold that may be null is null: a new one needs no line here."""
