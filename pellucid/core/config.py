"""From a section of a configuration file to the object it describes, with errors a person can act on.

A section is a mapping with a `name` (looked up in a registry) and the keyword arguments of the class of that name. The
class's own signature is the schema: pydantic checks and converts every value against its annotations.
"""

import inspect
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from pellucid.core.errors import ConfigError, nearest
from pellucid.core.registry import Registry

WORDS = {
    "a valid integer": "a whole number", "a valid number": "a number", "a valid string": "text",
    "a valid tuple": "a list such as [1, 2]", "a valid dictionary": "a section with keys",
    "greater than or equal to": "at least", "less than or equal to": "at most",
    "greater than": "more than",
}  # fmt: skip
"""Pydantic's words and ours."""


def build(registry: Registry, section: Mapping[str, Any], **given: Any) -> Any:
    """The object that `section` describes.

    Arguments:
        registry: where `section["name"]` is looked up.
        section: `name` and keyword arguments, as read from TOML or `--set`.
        given: arguments that the program supplies and the user may not set (shapes, modules).

    Raises:
        ConfigError: no name, an unknown name or setting, or a value of the wrong type.
    """
    if "name" not in section:
        raise ConfigError(f"A {registry.kind} needs a name. Known: {', '.join(sorted(registry))}")
    if not isinstance(section["name"], str):
        raise ConfigError(f"The name of a {registry.kind} is {section['name']!r}, expected a word: {nearest('', registry)}")
    cls = registry[section["name"]]
    settings = {key: value for key, value in section.items() if key != "name"}
    return cls(**validated(cls, settings, f"{registry.kind}.{section['name']}", hidden=given), **given)


def validated(
    cls: Any, settings: Mapping[str, Any], where: str, hidden: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """`settings` checked and converted against the signature of `cls`; `where` names the place in error messages."""
    schema = _schema(cls, frozenset(hidden or ()))
    for name in settings:
        if name not in schema.model_fields:
            raise ConfigError(f"Unknown setting '{name}' of {where}: {nearest(name, schema.model_fields)}")
    try:
        checked = schema.model_validate(dict(settings))
    except ValidationError as error:
        raise ConfigError(explain(error, where)) from None
    return {name: getattr(checked, name) for name in settings}


@lru_cache(maxsize=512)
def _schema(cls: Any, hidden: frozenset[str]) -> type[BaseModel]:
    """The signature of `cls`, but for what is hidden, for pydantic. Made once: a server asks for it again and again."""
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(cls).parameters.items()
        if name not in hidden and parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    }
    hints = get_type_hints(cls.__init__ if inspect.isclass(cls) else cls)
    fields: dict[str, Any] = {
        name: (hints.get(name, Any), ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in parameters.items()
    }
    return create_model("Settings", __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=True), **fields)


def explain(error: ValidationError, where: str = "") -> str:
    """Pydantic's complaints as one line each: the setting, what came, what was expected."""
    lines = []
    for item in error.errors():
        place = ".".join(str(part) for part in (where, *item["loc"]) if part != "")
        came = "" if item["type"] == "missing" or not place else f", got {item['input']!r}"
        lines.append(f"{place}: {expected(item['msg'])}{came}".removeprefix(": "))
    return "\n".join(lines)


def expected(message: str) -> str:
    """Pydantic's words in ours.

    >>> expected("Input should be a valid integer, unable to parse string as an integer")
    'expected a whole number'
    """
    message = message.removeprefix("Value error, ").replace("Input should be", "expected").rstrip(".")
    message = re.sub(", (unable to parse|got a number with).*", "", message)
    for theirs, ours in WORDS.items():
        message = message.replace(theirs, ours)
    return message[0].lower() + message[1:]
