"""The sites of a model by name: ours and TransformerLens'. The dictionary is a copy of the engine's."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

from .errors import BundleError
from .shape import ModelShape


@cache
def dictionary() -> list[dict[str, Any]]:
    """One entry per kind of site, in the order in which a forward pass reaches them."""
    entries: list[dict[str, Any]] = json.loads(files(__package__).joinpath("site_names.json").read_text("utf-8"))
    return entries


def sites_of(shape: ModelShape) -> list[dict[str, Any]]:
    """The entries of the sites that a model has."""
    mlp = "plain" if shape.plain_mlp else "gated"
    return [entry for entry in dictionary() if entry.get("mlp", mlp) == mlp]


def site_width(shape: ModelShape, site: str) -> int | None:
    """Width of a site's rows, or None if the model has no such site or it has no rows."""
    for entry in sites_of(shape):
        if entry["site"] == site:
            return {
                "hidden_size": shape.hidden_size,
                "intermediate_size": shape.intermediate_size,
                "heads": shape.num_heads * shape.head_dim,
                "kv_heads": shape.num_kv_heads * shape.head_dim,
            }.get(entry["width"])
    return None


def site_of_hook(shape: ModelShape, hook: str) -> tuple[str, int | None]:
    """Our site and layer for a hook name of TransformerLens: `("resid_post", 3)` for `blocks.3.hook_resid_post`.

    Raises `usage` for a name that is unknown, or whose values differ from those of the nearest site.
    """
    for entry in sites_of(shape):
        pattern = re.escape(entry["transformer_lens"]).replace("LAYER", r"(\d{1,9})")
        match = re.fullmatch(pattern, hook)
        if match is None:
            continue
        layer = int(match[1]) if match.groups() else None
        equal_if = entry.get("equal_if")
        if equal_if == "never" or (equal_if == "no_learned_positions" and shape.model_type == "gpt2"):
            hint = entry["otherwise"].replace("LAYER", str(layer)) + "."
            raise BundleError("usage", f"{hook} of TransformerLens and {entry['site']} differ here", hint)
        return entry["site"], layer
    known = ", ".join(entry["transformer_lens"] for entry in sites_of(shape))
    raise BundleError("usage", f"{hook!r} is not a hook of TransformerLens that has a site here", f"Known are {known}.")
