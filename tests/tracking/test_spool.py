"""What MLflow could not take is delivered in the order in which it was made, whatever the clock says."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from walt.tracking import spool
from walt.tracking.spool import Spool, pending


def test_the_order_is_that_of_making_where_the_clock_is_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = 24 * 3600 * 10**9
    made = []
    for now in (9 * day, 8 * day, 8 * day, 10 * day, 0):
        monkeypatch.setattr(spool, "time", SimpleNamespace(time_ns=partial(int, now)))
        one = Spool.create(tmp_path)
        one.append({"kind": "run"})
        made.append(one.name)
        one.close()
    found = list(pending(tmp_path))
    assert [one.name for one in found] == made
    for one in found:
        one.close()
