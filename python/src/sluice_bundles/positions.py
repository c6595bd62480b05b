"""Which tokens a stage acts on: positions as manifests write them, checked and evaluated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from .errors import BundleError
from .strict_json import MOST_SAFE_INTEGER, show

Positions: TypeAlias = Any
"""`"all"`, `"prompt"`, `"generated"`, `"last_prompt_onward"`, `{"from": i, "to": j}`, a list of positions,
`{"tokens": [ids]}`, `{"any": [positions]}` or `{"not": positions}`. Negative numbers count back from the prompt's end.
"""

RefuseField = Callable[[str, str, "str | None"], BundleError]

NAMES = ("all", "prompt", "generated", "last_prompt_onward")

# The bounds are the engine's: what a device evaluates has limits.
MOST_DEPTH = 16
MOST_PARTS = 1024
MOST_NUMBERS = 1 << 19
MOST_POSITION = 0xFFFFFFFE

FORMS = (
    f'Known are {", ".join(NAMES)}, {{"from": i, "to": j}}, a list of positions, {{"tokens": [ids]}}, '
    '{"any": [positions]} and {"not": positions}.'
)


def check_positions(value: Any, refuse: RefuseField, vocab_size: int | None = None) -> None:
    """Checks form and size. `refuse` makes the error of a field, whose name begins with `positions`."""
    _Checker(refuse, vocab_size).check(value, "positions", 0)
    if is_nowhere(value):
        raise refuse("positions", f"is {show(value)}, which is nowhere: the stage would touch nothing", None)


class _Checker:
    def __init__(self, refuse: RefuseField, vocab_size: int | None) -> None:
        self._refuse = refuse
        self._vocab_size = vocab_size
        self._parts = 0
        self._numbers = 0

    def check(self, value: Any, field: str, depth: int) -> None:
        if depth > MOST_DEPTH:
            raise self._refuse("positions", f"nests any and not more than {MOST_DEPTH} deep", None)
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise self._refuse("positions", f"has more than {MOST_PARTS} parts", "Use lists.")
        if isinstance(value, str) and value in NAMES:
            return
        if isinstance(value, list):
            self._check_numbers(value, field, "positions", -MOST_POSITION, MOST_POSITION)
            return
        if not isinstance(value, dict):
            raise self._refuse(field, f"is {show(value)}, which is unknown", FORMS)
        if "tokens" in value:
            self._only(value, ("tokens",), field)
            most = MOST_POSITION if self._vocab_size is None else self._vocab_size - 1
            self._check_numbers(value["tokens"], f"{field}.tokens", "token ids", 0, most)
        elif "any" in value:
            self._only(value, ("any",), field)
            parts = value["any"]
            if not isinstance(parts, list):
                raise self._refuse(f"{field}.any", f"is {show(parts)}, not a list", None)
            if not parts:
                raise self._refuse(f"{field}.any", "is empty: the stage would touch nothing", None)
            for index, part in enumerate(parts):
                self.check(part, f"{field}.any[{index}]", depth + 1)
        elif "not" in value:
            self._only(value, ("not",), field)
            self.check(value["not"], f"{field}.not", depth + 1)
        else:
            self._check_range(value, field)

    def _check_range(self, value: dict[str, Any], field: str) -> None:
        if "from" not in value:
            if "to" in value:
                raise self._refuse(f"{field}.from", "is missing", FORMS)
            raise self._refuse(field, f"is {show(value)}, which is unknown", FORMS)
        self._only(value, ("from", "to"), field)
        if not _is_position(value["from"]):
            raise self._refuse(f"{field}.from", f"is {show(value['from'])}, not a whole number", None)
        if "to" in value and value["to"] != "P" and not _is_position(value["to"]):
            raise self._refuse(f"{field}.to", f'is {show(value["to"])}, neither a whole number nor "P"', None)
        if is_nowhere(value):
            raise self._refuse(field, f"is {show(value)}, an empty range: the stage would touch nothing", None)

    def _check_numbers(self, value: Any, field: str, what: str, least: int, most: int) -> None:
        if not isinstance(value, list):
            raise self._refuse(field, f"is {show(value)}, not a list of {what}", None)
        if not value:
            raise self._refuse(field, "is empty: the stage would touch nothing", None)
        self._numbers += len(value)
        if self._numbers > MOST_NUMBERS:
            raise self._refuse("positions", f"lists more than {MOST_NUMBERS:,} numbers", None)
        for index, number in enumerate(value):
            if not isinstance(number, int) or isinstance(number, bool) or abs(number) > MOST_SAFE_INTEGER:
                raise self._refuse(f"{field}[{index}]", f"is {show(number)}, not a whole number", None)
            if not least <= number <= most:
                raise self._refuse(f"{field}[{index}]", f"is {number}; {what} here lie from {least} to {most}", None)

    def _only(self, value: dict[str, Any], known: tuple[str, ...], field: str) -> None:
        for key in value:
            if key not in known:
                hint = f"The fields are {', '.join(known)}."
                raise self._refuse(f"{field}.{key}", "is not a field here", hint)


def _is_position(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MOST_POSITION


def is_everywhere(positions: Positions) -> bool:
    """Does it act on every token, whatever the prompt's length? Decided by the form alone."""
    if isinstance(positions, str):
        return positions == "all"
    if isinstance(positions, list) or "tokens" in positions:
        return False
    if "any" in positions:
        return any(is_everywhere(part) for part in positions["any"])
    if "not" in positions:
        return is_nowhere(positions["not"])
    return bool(positions["from"] == 0 and "to" not in positions)


def is_nowhere(positions: Positions) -> bool:
    """Does it act on no token, whatever the prompt's length? Decided by the form alone."""
    if isinstance(positions, str):
        return False
    if isinstance(positions, list):
        return not positions
    if "tokens" in positions:
        return not positions["tokens"]
    if "any" in positions:
        return all(is_nowhere(part) for part in positions["any"])
    if "not" in positions:
        return is_everywhere(positions["not"])
    start, end = positions["from"], positions.get("to")
    return isinstance(end, int) and (start < 0) == (end < 0) and end <= start


def tokens_in(positions: Positions) -> Iterator[int]:
    """Every token id that positions list."""
    if isinstance(positions, (str, list)):
        return
    if "tokens" in positions:
        yield from positions["tokens"]
    elif "any" in positions:
        for part in positions["any"]:
            yield from tokens_in(part)
    elif "not" in positions:
        yield from tokens_in(positions["not"])


def farthest_back(positions: Positions) -> int:
    """How far negative positions count back from the prompt's end at most."""
    if isinstance(positions, str):
        return 0
    if isinstance(positions, list):
        return max(0, -int(min(positions)))
    if "any" in positions:
        return max(farthest_back(part) for part in positions["any"])
    if "not" in positions:
        return farthest_back(positions["not"])
    if "from" not in positions:
        return 0
    end = positions.get("to")
    return max(0, -int(positions["from"]), -end if isinstance(end, int) else 0)


def acts(
    positions: Positions, position: Any, token: Any, prompt_length: Any, isin: Callable[[Any, list[int]], Any]
) -> Any:
    """Whether a stage acts, as an array of booleans.

    The arguments are arrays of integers of one form (numpy or torch, broadcast against each other): absolute positions
    (negative: padding, where nothing acts), token ids and prompt lengths. `isin(array, list)` is the library's.
    """
    return _acts(positions, position, token, prompt_length, isin) & (position >= 0)


def _acts(positions: Positions, position: Any, token: Any, prompt_length: Any, isin: Any) -> Any:
    back = position - prompt_length
    if positions == "all":
        return position >= 0
    if positions == "prompt":
        return back < 0
    if positions == "generated":
        return back >= 0
    if positions == "last_prompt_onward":
        return back >= -1
    if isinstance(positions, list):
        from_start = [number for number in positions if number >= 0]
        return isin(position, from_start) | isin(back, [number for number in positions if number < 0])
    if "tokens" in positions:
        return isin(token, positions["tokens"])
    if "any" in positions:
        first, *rest = (_acts(part, position, token, prompt_length, isin) for part in positions["any"])
        for part in rest:
            first = first | part
        return first
    if "not" in positions:
        return ~_acts(positions["not"], position, token, prompt_length, isin)
    start, end = positions["from"], positions.get("to")
    inside = back >= start if start < 0 else position >= start
    if end is None:
        return inside
    if end == "P":
        return inside & (back < 0)
    return inside & (back < end if end < 0 else position < end)
