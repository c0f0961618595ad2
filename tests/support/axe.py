"""axe-core, which finds what keeps people from using a page: https://github.com/dequelabs/axe-core. Its script is taken
from the package axe-core-python."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import Tab

_PACKAGE = importlib.util.find_spec("axe_core_python")
needs_axe = pytest.mark.skipif(_PACKAGE is None, reason="axe-core-python is not installed")
_RUN = """axe.run(document, {resultTypes: ["violations"]}).then(found => found.violations.flatMap(
  fault => fault.nodes.map(node => [fault.id, node.target.join(" "), node.failureSummary].join(" | "))))"""


def violations(tab: Tab, scheme: str = "light") -> list[str]:
    """What axe finds on the page that a tab shows: rule, element, why.

    Args:
        scheme: of colours, which the page's contrasts depend on: ``light`` or ``dark``.
    """
    assert _PACKAGE is not None
    assert _PACKAGE.origin is not None
    tab.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    tab.value(Path(_PACKAGE.origin).with_name("axe.min.js").read_text(encoding="utf-8") + "; 1")
    found: Any = tab.value(_RUN)
    assert isinstance(found, list)
    return [" ".join(str(line).split()) for line in found]
