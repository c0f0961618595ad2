"""Planted credentials are in no parameter, tag, artifact, spool or message of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tracking import CONFIG
from walt.tracking.config import TrackingConfig
from walt.tracking.runs import start_run

PLANTED = ("planted-in-the-environment", "planted-in-a-url", "planted-in-a-query", "planted-in-the-address")


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PLANTED[0])


def _holding(root: Path) -> dict[str, str]:
    """Files below the project that hold one of the planted values, and which."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path): text for path in files for text in PLANTED if text.encode() in path.read_bytes()}


@pytest.mark.parametrize("away", [False, True])
def test_no_file_and_no_line_of_a_run_has_a_credential(
    root: Path, capsys: pytest.CaptureFixture[str], away: bool
) -> None:
    tracking: TrackingConfig = CONFIG
    if away:
        tracking = CONFIG.model_copy(update={"uri": f"http://me:{PLANTED[3]}@127.0.0.1:9"})
    params = {
        "said": f"a value with {PLANTED[0]} in it",
        "weights": {
            "folder": f"https://me:{PLANTED[1]}@host/weights",
            "other": [f"s3://b/a?X-Amz-Signature={PLANTED[2]}"],
        },
    }
    with start_run(tracking, root, "train-base", params, {"frozen": f"https://{PLANTED[1]}@host/model"}) as run:
        run.log_metrics({"loss": 0.5}, 1)
    said = capsys.readouterr()
    assert not _holding(root)
    assert not [text for text in PLANTED if text in said.out + said.err]
    assert any("***" in path.read_text("utf-8", "replace") for path in root.rglob("*") if path.is_file())
