"""Whether the dataset has what the parameters need: known from its descriptor, before any work."""

from __future__ import annotations

from pathlib import Path

from walt.core.config import load_section
from walt.core.errors import ConfigurationError
from walt.core.transformers import TRANSFORMERS
from walt.data.mixture import check_member_names
from walt.evaluation.metric_names import frechet_metric, is_of_a_check
from walt.ingest.config import Descriptor
from walt.ingest.sources.classes import read_classes
from walt.project.params import Params


def check_dataset(params: Params, root: Path) -> Descriptor:
    """The dataset's descriptor.

    Raises:
        ConfigurationError: it is wrong; the base model is conditioned on classes that the data do not have; the
            samples' prompts are those of a check that they do not have, or a promotion asks for its figures; or a
            training's weights are not those of the members.
    """
    file = params.dataset.descriptor
    descriptor = load_section(root / file, Descriptor)
    classes = read_classes(descriptor, root)
    if params.base.conditioning == "class":
        if classes is None:
            raise ConfigurationError(f"params.yaml: base.conditioning is class, but {file} has no classes")
        if params.base.num_classes != len(classes):
            said = f"base.num_classes is {params.base.num_classes}, but {file} has {len(classes)}"
            raise ConfigurationError(f"params.yaml: {said}")
    if params.sample.prompts == "adherence" and descriptor.adherence is None:
        raise ConfigurationError(
            f"params.yaml: sample.prompts is adherence, but {file} has none: give a list, or held_out"
        )
    for key, metric in params.promotion.metrics.items():
        if descriptor.adherence is None and is_of_a_check(metric):
            made = frechet_metric(params.evaluate)
            said = f"promotion.{key} is {metric}, but {file} has no adherence check"
            raise ConfigurationError(f"params.yaml: {said}: name another, such as {made}")
    for transformer in TRANSFORMERS:
        _, training = params.transformers().get(transformer.name, (None, None))
        if training and training.member_weights is not None:
            key = f"params.yaml: {transformer.training}.member_weights"
            if descriptor.source.kind != "union":
                raise ConfigurationError(f"{key} is given, but {file} is not a union: it must be null")
            check_member_names(training.member_weights, descriptor.members(), key)
    return descriptor
