"""``walt promote``: the alias of the registered models, moved to the newest where it is better."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from walt.core.log import info
from walt.core.paths import Paths
from walt.core.storage import lock
from walt.project.params import Params
from walt.project.runner import load_params


def command() -> None:
    """Give the alias to the newest release, if it is better by the rule in params.yaml's promotion section.

    The models must be those that results/evaluation.json was measured of. The release that has the alias is measured
    again, in work/promote, where its figures are of other clips, prompts or settings. The decision with the figures of
    both sides is results/decision.html.
    """
    root = Path.cwd()
    promote(load_params(root), root)


def promote(params: Params, root: Path) -> None:
    """Decide about the project's models, write the page of it, and say both.

    Raises: as ``walt.tracking.models.promote_newest``.
        LockedError: another promotion of this project runs, which measures in the same folder.
    """
    from walt.commands.promote.champion import measure_champion  # imports torch and MLflow, which --help does not need
    from walt.commands.promote.decision_page import write_decision
    from walt.tracking.models import promote_newest

    with lock(Paths(root).work("promote") / "lock"):
        said = promote_newest(params.tracking, params.promotion, root, partial(measure_champion, params, root))
        page = write_decision(params.tracking, root)
    if page is not None:
        info(f"{page.relative_to(root)}: the decision with its figures")
    info(said)  # the last line: the flow shows it
