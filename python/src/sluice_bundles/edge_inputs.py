"""Edge masks in torch: what every destination reads, from what every source wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .edges import EdgeGraph
from .kinds import EdgeMaskStage
from .shape import ModelShape

if TYPE_CHECKING:
    from torch import Tensor


class EdgeInputs:
    """Collects what sources write in a forward pass and makes the inputs of destinations.

    x_D = E + Σ_s (m'·out_s + (1 − m')·repl_s), with E what no source wrote: changes that stages made to the stream, and
    with `separate` the biases of the output projections. It equals R_D − Σ_s (1 − m')·(out_s − repl_s), without losing
    digits where most of an input is cut.
    """

    def __init__(self, stage: EdgeMaskStage, shape: ModelShape) -> None:
        self.stage = stage
        graph = EdgeGraph(shape, stage.destinations)
        self._index = graph.destination_index
        self._masked = [bool(row.any()) for row in stage.structure]
        self._written: list[Tensor] = []
        self._stacked: Tensor | None = None
        self._other: Tensor | None = None

    def begin(self) -> None:
        """A new forward pass."""
        self._written.clear()
        self._stacked = None
        self._other = None

    def wrote(self, rows: Tensor) -> None:
        """The next source in canonical order has written `[batch, tokens, width]`."""
        self._written.append(rows)
        self._stacked = None

    def changed(self, change: Tensor) -> None:
        """Something that belongs to no source was added to the stream; it passes through every edge."""
        self._other = change if self._other is None else self._other + change

    def attention(self, kind: str, layer: int, head: int) -> str | None:
        """The destination of a query head, key group or value group, if some of its edges are masked."""
        shared = self.stage.destinations == "heads"
        return self.masked(f"blocks.{layer}.{'head' if shared else kind}.{head}")

    def masked(self, destination: str) -> str | None:
        """The destination, if some of its edges are masked."""
        return destination if self._masked[self._index[destination]] else None

    def input(self, destination: str) -> Tensor:
        """What a destination reads, before its norm: `[batch, tokens, width]`."""
        if self._stacked is None:
            self._stacked = torch.stack(self._written)
        sources = self._stacked
        row = self.stage.mask[self._index[destination], : len(sources)]
        kept = torch.as_tensor(1 - self.stage.strength * (1 - row), dtype=sources.dtype, device=sources.device)
        x: Tensor = torch.tensordot(kept, sources, 1)
        if self.stage.constants is not None and self.stage.replace[_class(destination)] == "constants":
            constants = torch.tensor(self.stage.constants[: len(sources)], dtype=x.dtype, device=x.device)
            x = x + (1 - kept) @ constants
        return x if self._other is None else x + self._other


def _class(destination: str) -> str:
    if destination == "logits":
        return "logits"
    return "mlp" if destination.endswith(".mlp") else "attn"
