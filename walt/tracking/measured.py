"""What a release reached, kept with the version of its deciding model, which says so which models it goes with.

Releases may share that version. The tag ``walt.measured`` is of the one that has the alias, or was decided about last;
what each reached has a tag of its own besides, whose name ends with a digest of its models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from walt.core.digests import sha256_json
from walt.core.figures import Figure
from walt.core.own_digest import KEY
from walt.tracking.releases import METRIC_TAG, tag_mapping, tag_of
from walt.tracking.server import Connection

MEASURED_TAG = "walt.measured"
"""On a version of the deciding model: the figures of its release, and the digests of the models they are of (JSON)."""


def keep_measured(
    connection: Connection, full_name: str, version: str, figures: Mapping[str, Figure], digests: Mapping[str, str]
) -> None:
    """Keep a release's figures with the version of its deciding model.

    Args:
        digests: name of each model without the prefix -> its digest.
    """
    measured = {"models": dict(digests), "figures": {name: figure.as_json() for name, figure in figures.items()}}
    text = json.dumps({**measured, KEY: sha256_json(measured)}, sort_keys=True)
    for tag in (tag_of(MEASURED_TAG, digests), MEASURED_TAG):
        connection.client.set_model_version_tag(full_name, version, tag, text)
    for name, figure in figures.items():
        connection.client.set_model_version_tag(full_name, version, METRIC_TAG + name, str(figure))


def recall_measured(connection: Connection, full_name: str, version: str, digests: Mapping[str, str]) -> None:
    """Have a version say again what the release of these models reached; where that was not kept, which models it has,
    and nothing of figures: then they are measured again when they are needed."""
    tags = connection.client.get_model_version(full_name, version).tags
    kept = tag_mapping(tags.get(tag_of(MEASURED_TAG, digests)))
    intact = kept.pop(KEY, None) == sha256_json(kept) and kept.get("models") == digests
    figures = {name: Figure.from_json(value) for name, value in kept["figures"].items()} if intact else {}
    keep_measured(connection, full_name, version, figures, digests)
