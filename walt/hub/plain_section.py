"""What stands in an exported folder's code where the configuration's base class is: no pydantic is needed there."""

from __future__ import annotations

from typing import Any

PositiveInt = int
PositiveFloat = float


class Section:
    """Named values. They were checked when the folder was written."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)
