"""What stands in an exported folder's code where the configuration's base class is: no pydantic is needed there."""

from __future__ import annotations

import sys
from typing import Any, Self

PositiveInt = int
PositiveFloat = float


class Section:
    """Named values. They were checked when the folder was written."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    def model_copy(self, *, update: dict[str, Any]) -> Self:
        """The same with other values."""
        return type(self)(**{**self.__dict__, **update})

    def model_dump(self) -> dict[str, Any]:
        """All values by their names."""
        return dict(self.__dict__)


def info(message: str) -> None:
    """Print a line for the user, beside what a program of his prints."""
    print(message, file=sys.stderr)
