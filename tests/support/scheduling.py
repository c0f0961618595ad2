"""Which tests run in one process, where there are several: those of a module, and all that share a costly server."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

TOGETHER = ("tests/flows/",)
"""Rooms whose modules share Prefect's server: each further one takes seconds to start, and works all the time."""


class TogetherScheduling(LoadScopeScheduling):
    """``--dist loadscope``, with rooms that are not spread."""

    def _split_scope(self, nodeid: str) -> str:
        together = next((room for room in TOGETHER if nodeid.startswith(room)), None)
        return together or super()._split_scope(nodeid)
