"""Flow runs that ended with ``make serve``, and of which Prefect's server still says that they run.

Where the machine or ``make serve`` ends in the middle of a run, nobody tells Prefect (3.8), which would show the run as
running for ever; its runner does not even on Ctrl-C. So ``make serve`` tells it before its server stops, and where it
could not, the next one does. What a stage of the run had done is kept all the same.
"""

from __future__ import annotations

from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed

from walt.core import storage
from walt.core.errors import LockedError
from walt.core.paths import Paths

_WHY = "the server of the schedules or the machine ended while this ran; run it again: it goes on from there"
_UNDER_WAY = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


def end_lost_runs(root: Path) -> int:
    """Have the server say of the lost runs that they crashed; how many there were.

    A run that lives on holds the project's lock, as a direct one does: then nothing is decided. Runs of workers, which
    may be on other machines, are their workers' affair.
    """
    try:
        with storage.lock(Paths(root).flow_lock), get_client(sync_client=True) as client:
            found = client.read_flow_runs(
                flow_filter=FlowFilter(name=FlowFilterName(any_=["walt"])),
                flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY))),
            )
            lost = [run for run in found if run.deployment_id is not None and run.work_pool_name is None]
            for run in lost:
                client.set_flow_run_state(run.id, Crashed(message=_WHY), force=True)
    except LockedError:
        return 0
    return len(lost)
