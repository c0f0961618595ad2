"""``results/decision.html``: what was decided about the project's models, beside the report.

It is not part of the report, since it is known only after the report was made, and a stage's output depends on its
inputs alone.
"""

from __future__ import annotations

from pathlib import Path

from walt.core.figures import PROTOCOL, significant
from walt.core.storage import write_bytes
from walt.evaluation import metric_names
from walt.pages.formats import counted
from walt.pages.template import render
from walt.tracking.config import TrackingConfig
from walt.tracking.decisions import Decided, last_decision

PAGE = "results/decision.html"
TEMPLATE = Path(__file__).with_name("decision_page.html.jinja")


def write_decision(config: TrackingConfig, root: Path) -> Path | None:
    """Write the page of the last decision about the project's models; None where there was none.

    Raises:
        StorageError: MLflow cannot be reached, or the disk is full.
    """
    decided = last_decision(config, root)
    if decided is None:
        return None
    write_bytes(root / PAGE, page(decided).encode())
    return root / PAGE


def page(decided: Decided) -> str:
    """The whole page, which loads nothing from elsewhere."""
    rows = []
    for name, figure in decided.new.items():
        difference = decided.differences.get(name)
        rows.append(
            {
                "name": name,
                "better": metric_names.better(name),
                "new": str(figure),
                "items": counted(figure.items, figure.independent),
                "items_from_fewer": figure.independent not in (None, figure.items),
                "old": str(decided.old[name]) if name in decided.old else None,
                "difference": None
                if difference is None
                else f"{significant(difference.value, sign='+')} ± {significant(difference.half_width)}",
            }
        )
    protocols = dict.fromkeys(filter(None, (figure.conditions.get(PROTOCOL) for figure in decided.new.values())))
    reason = decided.reason
    if reason.split(maxsplit=1)[0] not in decided.new:  # a metric's name stays as it is
        reason = reason[:1].upper() + reason[1:]
    return render(TEMPLATE, {"decided": decided, "rows": rows, "protocols": list(protocols), "reason": reason})
