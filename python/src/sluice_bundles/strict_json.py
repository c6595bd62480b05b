"""The JSON of manifests, read as strictly as the engine reads it."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from .errors import BundleError

MOST_NESTING = 512
MOST_CHARACTERS = 80
MOST_SAFE_INTEGER = 2**53 - 1


def parse_manifest(text: str, file: str) -> Any:
    """What a manifest's text holds. Refused are NaN, Infinity, keys that occur twice, and deep nesting."""
    if _nesting(text) > MOST_NESTING:
        raise BundleError("bad_bundle", f"{file}: manifest is nested more than {MOST_NESTING} levels deep")

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in items:
            if key in found:
                raise BundleError("bad_bundle", f"{file}: manifest holds {show(key)} twice")
            found[key] = value
        return found

    def constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(
            text, object_pairs_hook=pairs, parse_constant=constant, parse_float=_number, parse_int=_number
        )
    except BundleError:
        raise
    except ValueError as error:
        hint = "NaN and Infinity, which Python's json module writes, are not JSON."
        raise BundleError("bad_bundle", f"{file}: manifest is not valid JSON: {error}", hint) from error


def show(value: Any) -> str:
    """A value on one short line, for messages."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=repr)
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"


def _number(text: str) -> int | float:
    """JSON has one kind of number, so 2.0 is a whole one."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) <= MOST_SAFE_INTEGER else value


def _nesting(text: str) -> int:
    """How deep objects and lists nest, without recursion."""
    depth = deepest = 0
    quoted = escaped = False
    for char in text:
        if quoted:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                quoted = False
        elif char == '"':
            quoted = True
        elif char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest
