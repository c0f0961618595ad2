"""HTML pages from templates. A page loads nothing from elsewhere: its pictures and videos are inside.

A template is beside the module that fills it, and its name begins with that module's name, so that the code
dependencies of a stage include it (``walt.project.code_identity``).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from walt.pages.formats import number, percent


def render(template: Path, values: Mapping[str, Any]) -> str:
    """The page: ``template`` filled with ``values``, whose texts are escaped. The same values give the same text.

    Filters: ``number`` and ``percent`` of ``walt.pages.formats``, ``breakable`` as below. Raises jinja2.UndefinedError
    for a value that the template names and ``values`` lacks.
    """
    environment = Environment(
        loader=FileSystemLoader(template.parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"number": number, "percent": percent, "breakable": breakable}
    return environment.get_template(template.name).render(values)


def breakable(name: str) -> Markup:
    """A name such as ``base.architecture.adaln_rank`` as HTML that may go on in a new line after each dot, slash and
    underscore; a narrow column would else break it inside a word."""
    return Markup(re.sub(r"([./_])", r"\1<wbr>", str(escape(name))))


def data_uri(media_type: str, data: bytes) -> str:
    """``data:video/mp4;base64,...``: a file's bytes as the address of a picture or a video in a page."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
