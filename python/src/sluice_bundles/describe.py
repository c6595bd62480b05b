"""A bundle in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .compose import Composition
from .edges import EdgeGraph
from .kinds import AFFINE_METHODS, EdgeMaskStage, SiteStage
from .shape import ModelShape
from .strict_json import show
from .tensors import StoredTensor

LISTED = 12


def describe(manifest: Mapping[str, Any], composition: Composition, tensors: Mapping[str, StoredTensor]) -> str:
    """What a bundle does, one line per fact."""
    base = manifest["base"]
    shape = ModelShape(**{name: base[name] for name in ModelShape.__dataclass_fields__})
    lines = [manifest["name"]]
    if "description" in manifest:
        lines.append(manifest["description"])
    lines.append(
        f"for {shape.model_type}: {shape.num_layers} layers, width {shape.hidden_size}, "
        f"{shape.num_heads} heads of {shape.head_dim}, MLP {shape.intermediate_size}, vocabulary {shape.vocab_size}"
    )
    for stage in composition.stages:
        lines += _edge_mask(stage, shape) if isinstance(stage, EdgeMaskStage) else _site_stage(stage)
    for name, value in manifest.get("fit", {}).items():
        lines.append(f"fit {name}: {show(value)}")
    if "checks" in manifest:
        lines.append(f"checks: {len(manifest['checks'])}")
    unread = sorted(set(tensors) - set(_read_tensors(composition)))
    if unread:
        lines.append(f"tensors that no stage reads: {', '.join(unread)}")
    return "\n".join(lines + [f"warning: {warning}" for warning in composition.warnings])


def _site_stage(stage: SiteStage) -> list[str]:
    what = f"{stage.method} {AFFINE_METHODS[stage.method].says}" if stage.method else "neuron_scale scales neurons"
    alpha = f", alpha {stage.alpha:g}" if stage.has_alpha else ""
    gate = "" if stage.gate == "identity" else f", gate {show(stage.gate)}"
    layers = f"layer {stage.layers[0]}" if len(stage.layers) == 1 else f"layers {', '.join(map(str, stage.layers))}"
    lines = [
        f"{stage.id}: {what} at {stage.site} of {layers}, positions {show(stage.positions)}",
        f"  strength {stage.strength:g}{alpha}{gate}",
    ]
    for layer, values in stage.values.items():
        facts = []
        for name, value in values.items():
            if name == "scale":
                facts.append(f"{int((value != 1).sum())} of {value.size} neurons scaled")
            elif name == "shift":
                facts.append(f"{int((value != 0).sum())} of {value.size} shifted")
            else:
                facts.append(f"{name} of norm {np.linalg.norm(value.astype(np.float64)):g}")
        lines.append(f"  layer {layer}: {', '.join(facts)}")
    return lines


def _edge_mask(stage: EdgeMaskStage, shape: ModelShape) -> list[str]:
    graph = EdgeGraph(shape, stage.destinations)
    edges = np.argwhere(stage.structure)
    lines = [
        f"{stage.id}: edge_mask masks {len(edges):,} of {sum(graph.visible):,} edges ({stage.destinations})",
        f"  strength {stage.strength:g}, bias of the output projection {stage.attn_bias}, "
        f"constants {'absent: zeros' if stage.constants is None else 'given'}, replace {show(stage.replace)}",
    ]
    for d, s in edges[:LISTED]:
        lines.append(f"  {graph.source_names[s]} → {graph.destination_names[d]}: {stage.mask[d, s]:g}")
    if len(edges) > LISTED:
        lines.append(f"  … and {len(edges) - LISTED:,} more edges")
    return lines


def _read_tensors(composition: Composition) -> Iterable[str]:
    for stage in composition.stages:
        if isinstance(stage, EdgeMaskStage):
            yield from (f"{stage.id}.mask", f"{stage.id}.constants")
        else:
            yield from (f"{stage.id}.{layer}.{name}" for layer, values in stage.values.items() for name in values)
