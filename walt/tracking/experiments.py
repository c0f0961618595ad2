"""DVC's experiments in a copy of the project (``dvc exp run --temp``, ``--queue``): the copy is removed afterwards.

What is to outlast it, runs and models, therefore goes to the project that the copy was made from. DVC makes copies
under ``.dvc/tmp/exps`` of the project (DVC 3.67: ``standalone/tmp...``, or ``tmp...`` of a queue), and names the
experiment in the environment of its stages.
"""

from __future__ import annotations

import os
from pathlib import Path

_COPIES = (".dvc", "tmp", "exps")
NAME_VARIABLE = "DVC_EXP_NAME"
NAME_TAG = "dvc.experiment"
"""On a run that an experiment made: the name by which ``dvc exp show`` and ``dvc exp apply`` know it."""


def lasting_root(root: Path) -> Path:
    """The project that a copy was made from; of a project that is none, itself."""
    for folder in root.resolve().parents:
        if folder.parts[-len(_COPIES) :] == _COPIES:
            return folder.parents[len(_COPIES) - 1]
    return root


def experiment_tags() -> dict[str, str]:
    """What a run says of the experiment that it is part of; empty where it is of none."""
    name = os.environ.get(NAME_VARIABLE)
    return {NAME_TAG: name} if name else {}
