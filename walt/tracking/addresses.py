"""How a model version is named: ``walt-base@champion``, ``base/3``, or MLflow's ``models:/walt-base/3``.

Commands take each of these, and a folder of the same name comes first. Settings take a folder or MLflow's form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from walt.tracking.releases import MODEL_ARTIFACTS

SCHEME = "models:/"
_FORM = re.compile(r"(?P<scheme>models:/)?(?P<name>[^/@:.~]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[0-9]+))?")


@dataclass(frozen=True)
class Address:
    """A registered model, and one version of it or none."""

    name: str
    """With the prefix: ``walt-base``."""
    alias: str | None = None
    version: str | None = None
    """Its number."""

    @property
    def is_of_a_version(self) -> bool:
        """Whether it names one version, and not the model alone."""
        return self.alias is not None or self.version is not None

    def __str__(self) -> str:
        """MLflow's form."""
        behind = f"@{self.alias}" if self.alias is not None else f"/{self.version}" if self.version else ""
        return f"{SCHEME}{self.name}{behind}"


def parse_address(given: str, prefix: str) -> Address | None:
    """What a text names; None where it cannot be a model's name, which may be a folder's.

    Args:
        prefix: ``tracking.model_prefix``, which a model of the pipeline may be named without.
    """
    match = _FORM.fullmatch(given)
    if match is None:
        return None
    name = f"{prefix}-{match['name']}" if match["name"] in MODEL_ARTIFACTS else match["name"]
    return Address(name, match["alias"], match["version"])


def release_address(given: str, prefix: str) -> str:
    """The address of a release's base model, by an alias or a number alone too: ``champion``, ``3``."""
    address = parse_address(given, prefix)
    if address is not None and not address.is_of_a_version and not given.startswith(SCHEME):
        of_base = f"{prefix}-{next(iter(MODEL_ARTIFACTS))}"
        address = Address(of_base, version=given) if given.isdecimal() else Address(of_base, alias=given)
    return given if address is None else str(address)


def is_registered(given: str) -> bool:
    """Whether a setting names a version in the registry; else it names a folder."""
    return given.startswith(SCHEME)


def not_found(given: str, prefix: str, model: str = "base") -> str:
    """What is said of what a person gave to a command, if it is neither a folder nor names a version of ``model``."""
    name = f"{prefix}-{model}"
    return f"{given}: no such folder, and no version of a model such as {name}@champion or {name}/3"
