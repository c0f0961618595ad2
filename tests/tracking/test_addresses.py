"""How model versions are named: the same forms in every command."""

from __future__ import annotations

import pytest

from walt.tracking.addresses import Address, parse_address, release_address


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("walt-base@champion", Address("walt-base", alias="champion")),
        ("base@champion", Address("walt-base", alias="champion")),
        ("models:/walt-base@champion", Address("walt-base", alias="champion")),
        ("walt-base/3", Address("walt-base", version="3")),
        ("sr-2x/12", Address("walt-sr-2x", version="12")),
        ("models:/text-encoder/1", Address("walt-text-encoder", version="1")),
        ("base", Address("walt-base")),
        ("other-base/3", Address("other-base", version="3")),  # registered under another prefix
        ("walt-base/three", None),
        ("walt-base/", None),
        ("walt-base@", None),
        ("models/base/3", None),
        ("./base", None),
        ("~/base", None),
        ("s3://base/3", None),
        ("", None),
    ],
)
def test_what_a_text_names(given: str, found: Address | None) -> None:
    assert parse_address(given, "walt") == found


def test_an_address_is_written_as_mlflow_has_it() -> None:
    for given in ("models:/walt-base@champion", "models:/walt-base/3", "models:/walt-base"):
        assert str(parse_address(given, "walt")) == given


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("champion", "models:/walt-base@champion"),
        ("3", "models:/walt-base/3"),
        ("base/3", "models:/walt-base/3"),
        ("models:/walt-base@champion", "models:/walt-base@champion"),
        ("models:/walt-base", "models:/walt-base"),
        ("a/b/c", "a/b/c"),  # refused by its name, where it is looked for
    ],
)
def test_a_release_may_be_named_by_its_alias_or_number_alone(given: str, address: str) -> None:
    assert release_address(given, "walt") == address
