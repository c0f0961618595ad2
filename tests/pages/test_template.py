"""Pages from templates."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from walt.pages.template import data_uri, render


def test_values_are_escaped_and_numbers_have_filters(tmp_path: Path) -> None:
    template = tmp_path / "page.html.jinja"
    template.write_text("{% if true %}\n<p>{{ name }}: {{ count | number }}, {{ part | percent }}</p>\n{% endif %}\n")
    page = render(template, {"name": "<b>", "count": 1234, "part": 0.5})
    assert page == "<p>&lt;b&gt;: 1\N{NARROW NO-BREAK SPACE}234, 50 %</p>\n"


def test_a_long_name_may_be_broken_between_its_words(tmp_path: Path) -> None:
    (tmp_path / "page.html.jinja").write_text("{{ name | breakable }}")
    page = render(tmp_path / "page.html.jinja", {"name": "base.adaln_rank<b>"})
    assert page == "base.<wbr>adaln_<wbr>rank&lt;b&gt;"


def test_a_value_that_is_missing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "page.html.jinja").write_text("{{ name }}")
    with pytest.raises(UndefinedError, match="name"):
        render(tmp_path / "page.html.jinja", {})


def test_a_data_uri_holds_the_bytes() -> None:
    kind, _, data = data_uri("image/png", b"\x00\xff").partition(";base64,")
    assert kind == "data:image/png"
    assert base64.b64decode(data) == b"\x00\xff"
