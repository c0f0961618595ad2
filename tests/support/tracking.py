"""Where the tests' runs are tracked: one for processes that a test starts, too."""

from __future__ import annotations

from walt.tracking.config import TrackingConfig

CONFIG = TrackingConfig(uri="sqlite:///mlflow.db", experiment="walt", model_prefix="walt", system_metrics=False)
DOWN = CONFIG.model_copy(update={"uri": "http://127.0.0.1:9"})  # the discard port: nobody listens
