"""No parameter is called as DVC's run cache overlooks it."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from tests.support.settings import sections_in
from walt.core.config import Section
from walt.project.params import Params

OVERLOOKED = {"size", "nfiles"}
"""DVC 3.67 drops these keys, at any depth, when it looks a stage up in its run cache: it would restore what another
value made, write the new value to ``dvc.lock`` and call the stage up to date."""


def overlooked_keys(section: type[BaseModel], above: str = "") -> Iterator[str]:
    """Dotted names of all keys of a section, its own sections included, that the run cache overlooks."""
    for name, field in section.model_fields.items():
        if name in OVERLOOKED:
            yield f"{above}{name}"
        for inner in sections_in(field.annotation):
            yield from overlooked_keys(inner, f"{above}{name}.")


def test_no_parameter_is_overlooked_by_the_run_cache() -> None:
    assert list(overlooked_keys(Params)) == []


def test_an_overlooked_key_is_found_at_any_depth() -> None:
    class Inner(Section):
        size: int

    class Outer(Section):
        plain: int
        forms: tuple[Inner, ...] | None
        nfiles: int

    assert list(overlooked_keys(Outer)) == ["forms.size", "nfiles"]
    assert "autoencoder" in Params.model_fields  # and the walk has something to walk over
