"""Base of the configuration: strict sections, and errors of one line that name the key.

A *section* is a pydantic model in the room that it configures (``walt/transformer/config.py``); ``walt.project.params``
combines all sections into ``params.yaml``. No field has a default: every knob is written out, so that DVC sees each
change. Types are strict: ``"1e-4"`` is not a number and ``1`` is not a boolean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError

from walt.core.errors import ConfigurationError
from walt.core.suggestions import did_you_mean


class Section(BaseModel):
    """Base of every configuration section: frozen, strict, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    renamed_keys: ClassVar[dict[str, str]] = {}
    """What keys were called in earlier versions -> what they are called now; for messages."""

    removed_keys: ClassVar[dict[str, str]] = {}
    """Keys of earlier versions that are gone -> why nothing is lost without them; for messages."""

    def with_keys_of(self, other: Section) -> Self:
        """This section with all values that ``other`` has. Raises pydantic's ValidationError where they do not fit."""
        return type(self).model_validate({**self.model_dump(), **other.model_dump()})


_LARGEST = 2**64
_MOST_VALUES = 10**6

SectionT = TypeVar("SectionT", bound=Section)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML 1.2 mapping (``no`` is a string, ``1e-4`` a number), refusing duplicate keys.

    Raises:
        ConfigurationError: the file is missing, is not YAML, repeats a key, or is not a mapping.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such file{did_you_mean(path.name, _siblings(path))}")
    try:
        data = yaml_data(path.read_text(encoding="utf-8"))
    except DuplicateKeyError as error:
        key = re.search('duplicate key "(.*?)"', str(error.problem))
        said = f"the key '{key[1]}' is there twice" if key else "a key is there twice"
        raise ConfigurationError(f"{path}, line {error.problem_mark.line + 1}: {said}") from None
    except RecursionError:
        raise ConfigurationError(f"{path}: lists or mappings in each other, too many to read") from None
    except (YAMLError, ValueError) as error:  # the latter: bytes that are not UTF-8, a date of month 13, and the like
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        said = " ".join(str(getattr(error, "problem", error)).split())
        raise ConfigurationError(f"{path}{where}: not valid YAML: {said}") from None
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path}: expected a mapping of keys, found {type(data).__name__}")
    _check_keys(data, path, (), {})
    return data


def yaml_data(text: str) -> Any:
    """A YAML 1.2 text as data, which belongs to the caller.

    Raises what ruamel raises: YAMLError, ValueError, RecursionError.
    """
    return deepcopy(_parsed(text))


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Any:
    """Kept, since parsing is slow (25 ms for a ``params.yaml``) and commands read the same texts several times."""
    return YAML(typ="safe", pure=True).load(text)


def _check_keys(value: Any, path: Path, above: tuple[int, ...], counted: dict[int, int]) -> int:
    """How many values there are in it, each alias counted as what it stands for; ``counted``: of what was looked at.

    Raises ConfigurationError for what YAML allows and no setting is: keys that are not text, values in themselves, and
    aliases of aliases that some hundred bytes make millions of values with.
    """
    if not isinstance(value, dict | list):
        return 1
    if id(value) in above:
        raise ConfigurationError(f"{path}: an alias (*) leads back to the value that it is in")
    if id(value) in counted:
        return counted[id(value)]
    for name in value if isinstance(value, dict) else ():
        if not isinstance(name, str):
            raise ConfigurationError(f"{path}: the key {str(name)[:40]} is not text: put it in quotes")
    inner = value.values() if isinstance(value, dict) else value
    count = counted[id(value)] = 1 + sum(_check_keys(one, path, (*above, id(value)), counted) for one in inner)
    if count > _MOST_VALUES:
        raise ConfigurationError(f"{path}: its aliases (*) stand for more than {_MOST_VALUES} values")
    return count


def load_section(path: str | Path, section: type[SectionT], if_missing: str = "") -> SectionT:
    """Read ``path`` and validate it as ``section``; ``if_missing`` says what to do about a missing key.

    Raises:
        ConfigurationError: one line that names the file, the key, what was expected, and the nearest valid key.
    """
    return parse_section(read_yaml(path), section, str(path), if_missing)


def parse_section(data: dict[str, Any], section: type[SectionT], source: str, if_missing: str = "") -> SectionT:
    """Validate a mapping as ``section``; ``source`` names it in errors, ``if_missing`` is added to errors about a
    missing key. Raises ConfigurationError."""
    for key, digits in _too_large(data, ""):
        raise ConfigurationError(f"{source}: key '{key}': a whole number of {digits} digits is too large")
    try:
        # JSON mode: strict about types, but accepts a YAML list for a tuple
        found = section.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        raise ConfigurationError(f"{source}: {_first_problem(error, section, if_missing)}") from None
    for key, given in _not_whole(found, data, ""):
        raise ConfigurationError(f"{source}: key '{key}': expected a whole number, found {given!r}")
    return found


def _too_large(data: Any, key: str) -> Iterator[tuple[str, int]]:
    """Whole numbers that neither a float nor 64 bits take, with their digits: to calculate with them would fail."""
    if isinstance(data, int) and not -_LARGEST < data < _LARGEST:
        yield key, len(str(abs(data)))
    elif isinstance(data, dict | list):
        for name, inner in data.items() if isinstance(data, dict) else enumerate(data):
            yield from _too_large(inner, f"{key}.{name}" if key else str(name))


def _not_whole(value: Any, data: Any, key: str) -> Iterator[tuple[str, bool | float]]:
    """Where ``true`` or ``1.0`` became a whole number: among choices, pydantic finds them equal to 1, strict or not."""
    if isinstance(data, bool | float) and type(value) is int:
        yield key, data
    elif isinstance(data, dict):
        inner = dict(value) if isinstance(value, Section | dict) else {}
        for name in data.keys() & inner.keys():
            yield from _not_whole(inner[name], data[name], f"{key}.{name}" if key else name)
    elif isinstance(data, list) and isinstance(value, list | tuple):
        for number, (one, given) in enumerate(zip(value, data, strict=False)):
            yield from _not_whole(one, given, f"{key}.{number}")


def _first_problem(error: ValidationError, section: type[Section], if_missing: str) -> str:
    """The most informative problem as one line: an unknown key first, since a typo also shows as a missing key."""
    problems = sorted(error.errors(include_url=False), key=lambda p: p["type"] != "extra_forbidden")
    problem = problems[0]
    key, holder = _locate(section, problem["loc"])
    rest = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if problem["type"] == "extra_forbidden":
        name = str(problem["loc"][-1])
        if name in holder.renamed_keys:
            return f"unknown key '{key}': it is called '{holder.renamed_keys[name]}' now{_further(problems)}"
        if name in holder.removed_keys:
            return f"unknown key '{key}': it is gone, remove it: {holder.removed_keys[name]}{_further(problems)}"
        return f"unknown key '{key}'{did_you_mean(name, holder.model_fields)}"
    if problem["type"] == "missing":
        return f"missing key '{key}'{rest}" + (f": {if_missing}" if if_missing else "")
    if problem["type"] == "union_tag_not_found":
        return f"missing key '{key}.{problem['ctx']['discriminator'].strip(chr(39))}'{rest}"
    if problem["type"] == "union_tag_invalid":
        tag, tags = problem["ctx"]["tag"], problem["ctx"]["expected_tags"].replace("'", "").split(", ")
        name = f"{key}.{problem['ctx']['discriminator'].strip(chr(39))}"
        return f"key '{name}': '{tag}' is not one of {', '.join(tags)}{did_you_mean(tag, tags)}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{key}: {message}" if key else message
    return f"key '{key}': {message[0].lower()}{message[1:]}, found {problem['input']!r}{rest}"


def _further(problems: Sequence[Any]) -> str:
    """How many more keys are unknown."""
    more = sum(problem["type"] == "extra_forbidden" for problem in problems) - 1
    return f" (and {more} more unknown)" if more else ""


def _locate(section: type[Section], location: tuple[int | str, ...]) -> tuple[str, type[Section]]:
    """The key at ``location`` as written in the file, and the section that it is in.

    In pydantic's location a union of sections adds a step, the tag that selected one of them; files do not have it.
    """
    candidates: list[type[Section]] = [section]
    holder = section
    shown: list[str] = []
    free = False  # whether the next step is the key of a mapping, which may have the name of a field
    for part in location:
        chosen = [candidate for candidate in candidates if len(candidates) > 1 and part in _tags(candidate)]
        if chosen:
            candidates, holder = chosen, chosen[0]
            continue
        shown.append(str(part))
        if free:
            free = False
            continue
        holder = candidates[0] if candidates else Section
        field = candidates[0].model_fields.get(str(part)) if candidates else None
        if field is not None:  # otherwise it is an index of a list
            candidates = [t for t in _types_in(field.annotation) if issubclass(t, Section)]
            free = get_origin(field.annotation) is dict
    return ".".join(shown), holder


def _tags(section: type[Section]) -> set[object]:
    """The values that may select the section in a union: those of its literal fields."""
    literals = (field.annotation for field in section.model_fields.values() if get_origin(field.annotation) is Literal)
    return {value for literal in literals for value in get_args(literal)}


def _types_in(annotation: Any) -> list[type]:
    arguments = getattr(annotation, "__args__", ())
    if isinstance(annotation, type) and not arguments:
        return [annotation]
    return [found for argument in arguments for found in _types_in(argument)]


def _siblings(path: Path) -> list[str]:
    return [sibling.name for sibling in path.parent.iterdir()] if path.parent.is_dir() else []
