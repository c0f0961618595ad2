"""Numbers and texts as people read them, on pages and in tables."""

from __future__ import annotations

from math import isfinite

from walt.core.figures import significant

_THIN = "\N{NARROW NO-BREAK SPACE}"


def number(value: float) -> str:
    """Thousands apart, and three significant digits where it is not a whole number: ``1 234``, ``0.0123``; ``nan``."""
    if not isfinite(value):
        return f"{value}"
    if value == int(value):
        return f"{int(value):,}".replace(",", _THIN)
    return significant(value) if abs(value) < 999.5 else f"{value:,.0f}".replace(",", _THIN)


def counted(items: int, drawn: int | None) -> str:
    """Of how many clips a number is, and from how many recordings or prompts where those are other: ``64 from 16``."""
    return number(items) if drawn is None or drawn == items else f"{number(items)} from {number(drawn)}"


def percent(part: float) -> str:
    """A share from 0 to 1 in whole percent: ``67 %``."""
    return f"{100 * part:.0f} %"


def share(part: float, whole: float) -> str:
    """``part`` of ``whole`` in percent, with a digit after the point below ten: ``4.2 %``, ``42 %``."""
    value = 100 * part / whole if whole else 0.0
    return f"{value:.1f} %" if 0 < value < 10 else f"{value:.0f} %"


def duration(seconds: float) -> str:
    """``2.1 s``, ``3 min 20 s``, ``1 h 05 min``, ``1 204 h``."""
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    if seconds < 3570:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours < 100 else f"{number(round(seconds / 3600))} h"


def num_bytes(count: float) -> str:
    """``1.21 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1000:
            return f"{significant(count)} {unit}"
        count /= 1024
    return f"{number(count)} TiB"


def one_line(text: str) -> str:
    """The text with each character that cannot be printed as an escape: names of files may hold anything."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )
