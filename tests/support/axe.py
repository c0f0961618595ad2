"""axe-core, which finds what keeps people from using a page: https://github.com/dequelabs/axe-core. Its script is taken
from the package axe-core-python."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import Tab, browser

_PACKAGE = importlib.util.find_spec("axe_core_python")
needs_axe = pytest.mark.skipif(_PACKAGE is None, reason="axe-core-python is not installed")
# WCAG 2.2 no longer forbids that elements share an id, and newer versions of axe do not look: matplotlib's charts do it
_RUN = """axe.run(document, {resultTypes: ["violations"], rules: {"duplicate-id": {enabled: false}}}).then(
  found => found.violations.flatMap(fault => fault.nodes.map(
    node => [fault.id, node.target.join(" "), node.failureSummary].join(" | "))))"""
_VIEWS = (((1280, 900), "light"), ((390, 844), "dark"))


def faults(tab: Tab, address: str, ready: str = "true") -> list[str]:
    """What axe finds on a page, wide in light and narrow in dark colours: the view, rule, element, why.

    Args:
        ready: an expression that is true when the page shows all that it is to show.
    """
    assert _PACKAGE is not None
    assert _PACKAGE.origin is not None
    script = Path(_PACKAGE.origin).with_name("axe.min.js").read_text(encoding="utf-8")
    found = []
    for window, scheme in _VIEWS:
        tab.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        tab.open("about:blank")  # so that what is looked at was loaded in this view
        tab.open(address, window)
        tab.wait(ready)
        tab.value(f"{script}; 1")
        lines: Any = tab.value(_RUN)
        assert isinstance(lines, list)
        found += [f"{window[0]} {scheme}: {' '.join(str(line).split())}" for line in lines]
    return found


def faults_of_file(page: Path) -> list[str]:
    """Of a page that is a file, in a browser of its own."""
    with browser() as running:
        return faults(running.tab(), page.as_uri())
