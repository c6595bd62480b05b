"""Reads the fields of a manifest one by one and strictly; a refusal names file, stage and field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .errors import BundleError, refuse
from .strict_json import MOST_SAFE_INTEGER, show

MOST_FLOAT32 = 3.4028235677973366e38
"""From here on a number rounds to infinity as float32."""


class Fields:
    """An object of the manifest; `where` names file and stage in errors, `path` the object within it."""

    def __init__(self, json: Any, where: str, path: str = "") -> None:
        if not isinstance(json, dict):
            raise refuse(where, path or "the manifest", f"is {show(json)}, not an object")
        self._where = where
        self._path = path
        self._fields: dict[str, Any] = json

    def only(self, known: Sequence[str]) -> None:
        """Refuses fields that nothing would read: a typing error must not pass for a default."""
        for name in self._fields:
            if name not in known:
                raise self.refuse(name, "is not a field here", f"The fields are {', '.join(known)}.")

    def has(self, name: str) -> bool:
        return name in self._fields

    def raw(self, name: str) -> Any:
        if name not in self._fields:
            raise self.refuse(name, "is missing")
        return self._fields[name]

    def string(self, name: str) -> str:
        value = self.raw(name)
        if not isinstance(value, str):
            raise self.refuse(name, f"is {show(value)}, not a string")
        return value

    def word(self, name: str, words: Sequence[str]) -> str:
        value = self.raw(name)
        if not isinstance(value, str) or value not in words:
            raise self.refuse(name, f"is {show(value)}, which is unknown", f"Known are {', '.join(words)}.")
        return value

    def number(self, name: str) -> float:
        """A number that stays finite as float32, which is what shaders compute with."""
        value = self.raw(name)
        if not is_float32(value):
            raise self.refuse(name, f"is {show(value)}, not a finite float32 number")
        return float(value)

    def integer(self, name: str, least: int, most: int = MOST_SAFE_INTEGER) -> int:
        value = self.raw(name)
        if not is_integer(value, least, most):
            between = f"of at least {least}" if most == MOST_SAFE_INTEGER else f"from {least} to {most}"
            raise self.refuse(name, f"is {show(value)}, not a whole number {between}")
        return int(value)

    def list(self, name: str) -> list[Any]:
        value = self.raw(name)
        if not isinstance(value, list):
            raise self.refuse(name, f"is {show(value)}, not a list")
        return value

    def object(self, name: str) -> Fields:
        return Fields(self.raw(name), self._where, self._name(name))

    def refuse(self, name: str, problem: str, hint: str | None = None) -> BundleError:
        return refuse(self._where, self._name(name), problem, hint)

    def _name(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name


def is_integer(value: Any, least: int, most: int = MOST_SAFE_INTEGER) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_float32(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and abs(value) < MOST_FLOAT32
