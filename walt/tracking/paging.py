"""All that MLflow has, which it gives a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

PAGE = 1000
"""Entries that are asked for at once: what each kind of search of MLflow's servers allows (MLflow 3.17)."""


def all_of(search: Callable[..., Any], *arguments: Any, **named: Any) -> Iterator[Any]:
    """What one of ``MlflowClient``'s searches finds, whole: one call gives its first page and no word of the others."""
    token: str | None = None
    while True:
        page = search(*arguments, max_results=PAGE, page_token=token, **named)
        yield from page
        token = page.token
        if not token:
            return
