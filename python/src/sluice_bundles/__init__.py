"""Bundles of interventions for language models: read, checked, made, written, and run on transformers models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .bundle import Bundle
from .compose import Composition, compose
from .errors import BundleError
from .importers import from_nnsight, from_pyvene, from_repeng, from_transformer_lens
from .shape import ModelShape
from .tensors import StoredTensor

if TYPE_CHECKING:
    from .applied import Applied, apply
    from .sealing import seal

__all__ = [
    "Applied",
    "Bundle",
    "BundleError",
    "Composition",
    "ModelShape",
    "StoredTensor",
    "apply",
    "compose",
    "from_nnsight",
    "from_pyvene",
    "from_repeng",
    "from_transformer_lens",
    "seal",
]


def __getattr__(name: str) -> Any:
    """What needs torch is imported when it is first asked for."""
    if name in ("Applied", "apply"):
        from . import applied

        return getattr(applied, name)
    if name == "seal":
        from .sealing import seal

        return seal
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
