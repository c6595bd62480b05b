"""What is raised for bundles that are refused and for calls that make no sense."""

from __future__ import annotations

from typing import Literal

ErrorCode = Literal["bad_bundle", "bad_file", "usage"]


class BundleError(ValueError):
    """A bundle that is refused (`bad_bundle`), a damaged file (`bad_file`) or a call that makes no sense (`usage`).

    The codes are those of the engine, and so is what the message says.
    """

    def __init__(self, code: ErrorCode, problem: str, hint: str | None = None) -> None:
        super().__init__(problem if hint is None else f"{problem}. {hint}")
        self.code: ErrorCode = code
        self.hint = hint


def refuse(where: str, field: str, problem: str, hint: str | None = None) -> BundleError:
    """The error of a bundle: where, the field, what is wrong with it, and what to do."""
    return BundleError("bad_bundle", f"{where}: {field} {problem}", hint)
