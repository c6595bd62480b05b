"""The committed golden cases: tiny models, bundles, and what they compute in float64."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parents[2] / "test" / "golden"


def cases(model: str) -> list[dict[str, Any]]:
    """Cases with logits; those of gradients and fits have none."""
    folder = GOLDEN / model
    found = json.loads((folder / "cases.json").read_text("utf-8"))
    if (folder / "positions.json").exists():
        found += json.loads((folder / "positions.json").read_text("utf-8"))
    return [case for case in found if "bundle" in case]
