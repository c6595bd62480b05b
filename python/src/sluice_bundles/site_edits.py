"""What stages at sites do to rows, in torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .kinds import LoweredRow, SiteStage, lower

if TYPE_CHECKING:
    from torch import Tensor

    from .roles import Roles


class SiteEdits:
    """Applies the stages at a site, in their order. Half-precision rows are edited in float32."""

    def __init__(self, stages: Sequence[SiteStage], roles: Roles) -> None:
        self._roles = roles
        self._by_place: dict[tuple[str, int], list[SiteStage]] = {}
        for stage in stages:
            for layer in stage.layers:
                self._by_place.setdefault((stage.site, layer), []).append(stage)
        self._lowered: dict[tuple[str, int], LoweredRow] = {}
        self._tensors: dict[tuple[Any, ...], Tensor] = {}

    def has(self, site: str, layer: int) -> bool:
        return (site, layer) in self._by_place

    def __call__(self, site: str, layer: int, rows: Tensor) -> Tensor:
        """`rows` is `[..., tokens, width]` after all stages at the site."""
        edited = rows
        for stage in self._by_place.get((site, layer), []):
            if stage.strength == 0:
                continue
            wide = edited if edited.dtype == torch.float64 else edited.float()
            change = self._neurons(stage, layer, wide) if stage.method is None else self._affine(stage, layer, wide)
            moved = (wide + stage.strength * change).to(rows.dtype)
            where = self._roles.where(stage)
            edited = moved if where is None else torch.where(where.to(rows.device), moved, edited)
        return edited

    def _neurons(self, stage: SiteStage, layer: int, rows: Tensor) -> Tensor:
        values = stage.values[layer]
        change = torch.zeros_like(rows)
        if "scale" in values:
            change = (self._tensor(stage, layer, "scale", values["scale"], rows) - 1) * rows
        if "shift" in values:
            change = change + self._tensor(stage, layer, "shift", values["shift"], rows)
        return change

    def _affine(self, stage: SiteStage, layer: int, rows: Tensor) -> Tensor:
        lowered = self._lowered.get((stage.id, layer))
        if lowered is None:
            lowered = self._lowered[stage.id, layer] = lower(str(stage.method), stage.values[layer])
        change = torch.zeros_like(rows)
        if lowered.v.shape[0] > 0:
            v, u, c = (self._tensor(stage, layer, name, getattr(lowered, name), rows) for name in ("v", "u", "c"))
            change = -(_gate(stage.gate, rows @ v.T - c) @ u)
        if lowered.b is not None:
            b = self._tensor(stage, layer, "b", lowered.b, rows)
            change = change + (stage.alpha if stage.has_alpha else 1.0) * b
        return change

    def _tensor(self, stage: SiteStage, layer: int, name: str, values: Any, like: Tensor) -> Tensor:
        key = (stage.id, layer, name, like.dtype, like.device)
        if key not in self._tensors:
            self._tensors[key] = torch.as_tensor(np.array(values), dtype=like.dtype, device=like.device)
        return self._tensors[key]


def _gate(gate: Any, y: Tensor) -> Tensor:
    if gate == "identity":
        return y
    if gate == "relu":
        return y.clamp(min=0)
    low, high = gate["clamp"]
    return y - y.clamp(low, high)
