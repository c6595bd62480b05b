"""The kinds of stages and the methods of `affine`: which sites and tensors they have, and what they lower to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

KINDS = ("neuron_scale", "affine", "edge_mask")

NEURON_SITES = (
    "attn_norm",
    "attn_z",
    "attn_out",
    "mlp_norm",
    "mlp_pre",
    "gate_pre",
    "up",
    "mlp_post",
    "mlp_out",
)

AFFINE_SITES = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out")


@dataclass(frozen=True)
class TensorSpec:
    """A tensor per layer: `row` is `[width]`, `rows` `[r, width]`, `rank` `[r]`."""

    form: Literal["row", "rows", "rank"]
    optional: bool = False
    nonzero: bool = False


@dataclass(frozen=True)
class AffineMethod:
    """A method of `affine`. `alpha` multiplies what it adds; `gates`: it takes something away, on which a gate acts."""

    tensors: Mapping[str, TensorSpec]
    alpha: bool = False
    gates: bool = True
    says: str = ""


NEURON_TENSORS = {"scale": TensorSpec("row", optional=True), "shift": TensorSpec("row", optional=True)}

_DIRECTION = TensorSpec("row", nonzero=True)

AFFINE_METHODS = {
    "directional_ablation": AffineMethod({"direction": _DIRECTION}, says="takes a direction away"),
    "addition": AffineMethod({"direction": TensorSpec("row")}, alpha=True, gates=False, says="adds a direction"),
    "ace": AffineMethod(
        {"direction": _DIRECTION, "reference": TensorSpec("row")},
        alpha=True,
        says="sets the coordinate along a direction",
    ),
    "low_rank": AffineMethod(
        {
            "v": TensorSpec("rows"),
            "u": TensorSpec("rows"),
            "c": TensorSpec("rank", optional=True),
            "bias": TensorSpec("row", optional=True),
        },
        says="edits a few directions",
    ),
}


@dataclass(frozen=True)
class LoweredRow:
    """Vectors of h ← h + s·(b − g(h·Vᵀ − c)·U) in float64; alpha multiplies b if the method has one."""

    v: Float64
    u: Float64
    c: Float64
    b: Float64 | None


def lower(method: str, values: Mapping[str, Any]) -> LoweredRow:
    """What one layer's tensors of an affine stage mean."""
    wide = {name: np.asarray(value, np.float64) for name, value in values.items()}
    if method == "low_rank":
        rank = wide["v"].shape[0]
        return LoweredRow(wide["v"], wide["u"], wide.get("c", np.zeros(rank)), wide.get("bias"))
    direction = wide["direction"]
    if method == "addition":
        none = np.zeros((0, direction.size))
        return LoweredRow(none, none, np.zeros(0), direction)
    unit = direction / np.linalg.norm(direction)
    if method == "directional_ablation":
        return LoweredRow(unit[None], unit[None], np.zeros(1), None)
    return LoweredRow(unit[None], unit[None], np.array([unit @ wide["reference"]]), direction)


@dataclass
class SiteStage:
    """A stage at sites, checked against a model. Strength, alpha and positions are live."""

    id: str
    kind: str
    site: str
    layers: list[int]
    positions: Any
    strength: float
    values: dict[int, dict[str, npt.NDArray[np.float32]]]
    method: str | None = None
    gate: Any = "identity"
    alpha: float = 1.0

    @property
    def has_alpha(self) -> bool:
        return self.method is not None and AFFINE_METHODS[self.method].alpha


@dataclass
class EdgeMaskStage:
    """An edge mask, checked against a model: `mask` and `structure` are `[destinations, sources]`, canonical order."""

    id: str
    destinations: str
    attn_bias: str
    replace: dict[str, str]
    mask: Float64
    structure: npt.NDArray[np.bool_]
    constants: npt.NDArray[np.float32] | None
    strength: float
    kind: str = field(default="edge_mask", init=False)


Stage = SiteStage | EdgeMaskStage
