"""Edges of a model's graph: every block reads what all earlier blocks wrote. Names and canonical order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from .shape import ModelShape


@dataclass(frozen=True)
class EdgeGraph:
    """Sources and destinations of a model by name, in canonical order; `destinations` is `heads` or `qkv_groups`."""

    shape: ModelShape
    destinations: str

    @cached_property
    def source_names(self) -> list[str]:
        names = ["embed"]
        for layer in range(self.shape.num_layers):
            names += [f"blocks.{layer}.head.{head}" for head in range(self.shape.num_heads)]
            names.append(f"blocks.{layer}.mlp")
        return names

    @cached_property
    def destination_names(self) -> list[str]:
        heads, groups = self.shape.num_heads, self.shape.num_kv_heads
        names = []
        for layer in range(self.shape.num_layers):
            kinds = [("head", heads)] if self.destinations == "heads" else [("q", heads), ("k", groups), ("v", groups)]
            names += [f"blocks.{layer}.{kind}.{index}" for kind, count in kinds for index in range(count)]
            names.append(f"blocks.{layer}.mlp")
        return [*names, "logits"]

    @cached_property
    def visible(self) -> list[int]:
        """How many sources each destination sees: always the first ones in canonical order."""
        per_layer = self.shape.num_heads + 1
        counts = []
        for name in self.destination_names:
            if name == "logits":
                counts.append(1 + self.shape.num_layers * per_layer)
                continue
            _, layer, kind, *_ = name.split(".")
            counts.append(1 + int(layer) * per_layer + (self.shape.num_heads if kind == "mlp" else 0))
        return counts

    @cached_property
    def source_index(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.source_names)}

    @cached_property
    def destination_index(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.destination_names)}
