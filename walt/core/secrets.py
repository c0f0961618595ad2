"""Takes credentials out of texts that people or files get: log lines, errors, MLflow's parameters, lineage.

Credentials come from the environment only, but nobody is kept from writing one into a URL of ``params.yaml``. What is
taken out: the user and password of a URL; parameters of a query that are named like secrets (signatures, tokens, keys);
and, wherever they stand, the values of environment variables that are named like secrets.
"""

from __future__ import annotations

import os
import re
from typing import Any

HIDDEN = "***"
_USER = re.compile(
    r"(\b[A-Za-z][A-Za-z0-9+.-]*://)"
    r"(?:[^/?#\s@'\":\[]*:(?!\d+[/?#])(?:(?!://)[^\s'\"])*|[^/?#\s'\"]+)@"
)
"""A password may have ``@``, ``/``, ``?`` or ``#`` in it: SQLAlchemy, for one, takes it as far as an ``@``. What begins
as a port does is none."""
_PARAMETER = re.compile(
    r"([?&;](?:[^=&;\s'\"]*(?:sig|token|key|secret|passw|pwd|credential|auth)[^=&;\s'\"]*)=)[^&;\s'\"]+", re.IGNORECASE
)
_VARIABLE = re.compile(
    r"SECRET|TOKEN|PASS(W|PHRASE|$)|PWD$|(ACCESS|API|PRIVATE)_?KEY|CREDENTIAL|AUTH_STRING|AUTHORIZATION", re.IGNORECASE
)
_SHORTEST = 8
"""Characters of a variable's value: shorter ones (``true``, a number) would also be found in other words."""


def without_secrets(text: str) -> str:
    """The text with ``***`` in place of each credential."""
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST and value in text and _VARIABLE.search(name) and not os.path.isabs(value):  # noqa: PTH117
            text = text.replace(value, HIDDEN)
    if "=" in text:
        text = _PARAMETER.sub(rf"\1{HIDDEN}", text)
    return _USER.sub(rf"\1{HIDDEN}@", text) if "@" in text else text


def all_without_secrets(value: Any) -> Any:
    """A JSON value whose texts are all ``without_secrets``; keys stay."""
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, dict):
        return {key: all_without_secrets(one) for key, one in value.items()}
    return [all_without_secrets(one) for one in value] if isinstance(value, list | tuple) else value
