"""``walt check``: whether parameters, descriptor and ``dvc.yaml`` are in order."""

from __future__ import annotations

from pathlib import Path

from walt.core.log import info, warning
from walt.core.paths import Paths
from walt.project import dvc_yaml as pipeline
from walt.project.dataset_fit import check_dataset
from walt.project.extractor_fit import check_evaluated_form
from walt.project.missing_sources import missing_sources
from walt.project.runner import load_params


def command() -> None:
    """Check params.yaml, its descriptor and dvc.yaml without doing any work."""
    root = Path.cwd()
    params = load_params(root)
    descriptor = check_dataset(params, root)
    pipeline.check(root)
    check_evaluated_form(params, root)
    info(f"params.yaml, {params.dataset.descriptor} ({descriptor.name}) and dvc.yaml are in order")
    missing = missing_sources(descriptor, params.dataset.path, Paths(root))
    if missing is not None:
        warning(str(missing))
