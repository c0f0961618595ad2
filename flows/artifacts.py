"""What Prefect's pages show of a stage: a progress bar while it runs, a table of figures afterwards.

Showing never stops a training: when the API does not answer, a warning is logged and the stage continues.
"""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

Logger = logging.Logger | logging.LoggerAdapter[Any]
_UPDATE_EVERY_SECONDS = 2.0
_PICTURE_BYTES = 2_000_000
"""The server keeps artifacts in its database."""


class ProgressArtifact:
    """Keeps the artifact ``progress-<stage>`` as the stage's progress file says (see ``walt.core.log``)."""

    def __init__(self, stage: str, file: Path, logger: Logger) -> None:
        self._key, self._file, self._logger = f"progress-{stage}", file, logger
        self._artifact: UUID | None = None
        self._shown: dict[str, Any] = {}
        self._next = 0.0

    def update(self, last: bool = False) -> None:
        """Show what is in the file, if it has changed; at most every two seconds, unless it is the last time."""
        now = time.monotonic()
        if (now < self._next and not last) or not self._file.is_file():
            return
        self._next = now + _UPDATE_EVERY_SECONDS
        state = json.loads(self._file.read_text(encoding="utf-8"))
        if state == self._shown:
            return
        percent = 100.0 * min(state["completed"] / max(state["total"], 1), 1.0)
        with survive_outage(self._logger):
            if self._artifact is None:
                artifact = create_progress_artifact(percent, key=self._key, description=_describe(state))
                assert isinstance(artifact, UUID)  # a coroutine only where an event loop runs
                self._artifact = artifact
            else:
                update_progress_artifact(self._artifact, progress=percent, description=_describe(state))
        self._shown = state


def show_figures(stage: str, figures: dict[str, Any], logger: Logger) -> None:
    """The artifact ``result-<stage>``: a table of what the stage returned."""
    rows = [{"figure": name, "value": value} for name, value in _flat(figures)]
    with survive_outage(logger):
        create_table_artifact(rows, key=f"result-{stage}", description=f"What {stage} made")


def show_text(key: str, markdown: str, description: str, logger: Logger) -> None:
    """A markdown artifact."""
    with survive_outage(logger):
        create_markdown_artifact(markdown, key=key, description=description)


def show_picture(key: str, picture: Path, description: str, logger: Logger) -> None:
    """A markdown artifact with a PNG in it, so that it is shown wherever the page is; none where it is too large."""
    if not picture.is_file() or picture.stat().st_size > _PICTURE_BYTES:
        return
    data = base64.b64encode(picture.read_bytes()).decode()
    show_text(key, f"![{description}](data:image/png;base64,{data})", description, logger)


def show_page(key: str, page: Path, logger: Logger) -> None:
    """A link to a page on this machine."""
    with survive_outage(logger):
        create_link_artifact(page.resolve().as_uri(), key=key, link_text=page.name)


@contextmanager
def survive_outage(logger: Logger) -> Iterator[None]:
    """Log and continue when Prefect's API cannot be reached."""
    try:
        yield
    except (httpx.HTTPError, OSError) as error:
        logger.warning("Prefect's API does not answer (%s); the work continues", str(error) or type(error).__name__)


def _describe(state: dict[str, Any]) -> str:
    left = (state["total"] - state["completed"]) / state["rate"] if state["rate"] else 0.0
    return (
        f"{state['description']}: {state['completed']}/{state['total']} {state['unit']}, "
        f"{state['rate']:.1f} {state['unit']}/s, {left:.0f} s left {state['note']}"
    ).rstrip()


def _flat(figures: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", value if isinstance(value, int | float | str) else json.dumps(value)
