"""Bundles of every kind × method × gate × site of a model, at positions of every form, and random mixtures of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sluice_bundles import Bundle, ModelShape
from sluice_bundles.edges import EdgeGraph
from sluice_bundles.kinds import AFFINE_SITES, NEURON_SITES
from sluice_bundles.site_names import site_width

Rng = np.random.Generator

GATES = ("identity", "relu", {"clamp": [-0.5, 0.25]})
METHODS = ("directional_ablation", "addition", "ace", "low_rank")
STRENGTHS = (1, 0.5, -0.5, 1.25)
ALPHAS = (1, 0.5, -1.5)
REPLACED = ({}, {"attn": "zero"}, {"mlp": "zero", "logits": "zero"}, {"attn": "zero", "mlp": "zero", "logits": "zero"})


@dataclass(frozen=True)
class Swept:
    """A bundle, the column it counts in, and positions that a caller sets in place of its own."""

    column: str
    bundle: Bundle
    positions: dict[str, Any] = field(default_factory=dict)


def position_forms(tokens: list[int]) -> list[Any]:
    """One of every form."""
    listed = {"tokens": [tokens[1], tokens[-2]]}
    return [
        "all",
        "prompt",
        "generated",
        "last_prompt_onward",
        {"from": 3},
        {"from": 2, "to": 9},
        {"from": -3, "to": "P"},
        [0, 1, -2, -1],
        listed,
        {"any": [[0], listed, {"from": -1}]},
        {"not": [-1]},
    ]


def sweep(model: Any, tokens: list[int], rng: Rng) -> Iterator[Swept]:
    """Every structure once or twice, with forms of positions, strengths and alphas in turn."""
    shape = ModelShape.of(model)
    forms = itertools.cycle(position_forms(tokens))
    strengths, alphas = itertools.cycle(STRENGTHS), itertools.cycle(ALPHAS)
    sites = [site for site in NEURON_SITES if site_width(shape, site) is not None]
    for site, holds in itertools.product(sites, ("scale", "shift", "both")):
        settings = {"positions": next(forms), "strength": next(strengths)}
        yield Swept("neurons", neurons(shape, site, holds, settings, rng))
    for site, method, gate in itertools.product(AFFINE_SITES, METHODS, GATES):
        if method == "addition" and gate != "identity":
            continue
        settings = {"positions": next(forms), "strength": next(strengths)}
        if method != "addition":
            settings["gate"] = gate
        if method in ("addition", "ace"):
            settings["alpha"] = next(alphas)
        bundle = affine(shape, site, method, settings, rng)
        yield Swept("affine", bundle)
        yield Swept("affine", bundle, {"a": next(forms)})
    for kind, bias, dense in itertools.product(edge_forms(shape), ("per_head", "separate"), (False, True)):
        for replace in REPLACED:
            yield Swept("edges", edges(shape, kind, bias, dense, replace, next(strengths), rng))


def mixture(model: Any, tokens: list[int], rng: Rng) -> Bundle:
    """Three to five stages at any sites, and most of the time an edge mask among them."""
    shape = ModelShape.of(model)
    masked = rng.random() < 0.7
    bundles = []
    for index in range(int(rng.integers(3, 6))):
        settings = {"positions": pick(rng, position_forms(tokens)), "strength": pick(rng, STRENGTHS), "id": f"s{index}"}
        # A layer whose heads have masked edges takes no stage at attn_out.
        closed = {"attn_out"} if masked else set()
        if rng.random() < 0.4:
            sites = [site for site in NEURON_SITES if site_width(shape, site) is not None and site not in closed]
            bundles.append(neurons(shape, pick(rng, sites), pick(rng, ("scale", "shift", "both")), settings, rng))
            continue
        method = pick(rng, METHODS)
        if method != "addition":
            settings["gate"] = pick(rng, GATES)
        if method in ("addition", "ace"):
            settings["alpha"] = pick(rng, ALPHAS)
        sites = [site for site in AFFINE_SITES if site not in closed]
        bundles.append(affine(shape, pick(rng, sites), method, settings, rng))
    if masked:
        kind, bias = pick(rng, edge_forms(shape)), pick(rng, ("per_head", "separate"))
        mask = edges(shape, kind, bias, rng.random() < 0.5, pick(rng, REPLACED), pick(rng, (1, 0.75)), rng)
        bundles.insert(int(rng.integers(len(bundles))), mask)
    mixed = bundles[0]
    for bundle in bundles[1:]:
        mixed = mixed + bundle
    return mixed


def bakeable(model: Any, rng: Rng) -> Bundle:
    """Stages of the kinds that weights can take, one that they cannot (a gate), everywhere."""
    shape = ModelShape.of(model)
    last = shape.num_layers - 1
    site = "mlp_pre" if shape.plain_mlp else "up"
    return (
        neurons(shape, site, "scale", {"id": "before", "strength": 0.75}, rng)
        + neurons(shape, "mlp_out", "both", {"id": "written"}, rng)
        + affine(shape, "mlp_out", "directional_ablation", {"id": "ablated"}, rng)
        + affine(shape, "attn_out", "ace", {"id": "set", "alpha": 0.5}, rng)
        + affine(shape, "resid_post", "addition", {"id": "added", "strength": 0.5, "layers": [0]}, rng)
        + affine(shape, "resid_post", "low_rank", {"id": "kept", "gate": "relu", "layers": [last]}, rng)
    )


def neurons(shape: ModelShape, site: str, holds: str, settings: dict[str, Any], rng: Rng) -> Bundle:
    width = site_width(shape, site)
    layers = range(shape.num_layers)
    scale = {layer: rng.normal(0.75, 0.5, width) for layer in layers} if holds != "shift" else None
    shift = {layer: rng.normal(0, 0.3, width) for layer in layers} if holds != "scale" else None
    return Bundle.neuron_scale(shape, scale, shift, site=site, **{"id": "n", **settings})


def affine(shape: ModelShape, site: str, method: str, settings: dict[str, Any], rng: Rng) -> Bundle:
    settings = {"id": "a", **settings}
    layers = settings.pop("layers", range(shape.num_layers))
    width = shape.hidden_size

    def rows(deviation: float, *size: int) -> dict[int, Any]:
        return {layer: rng.normal(0, deviation, size) for layer in layers}

    if method == "low_rank":
        rank = int(rng.integers(1, 7))
        optional = rng.random() < 0.5
        return Bundle.low_rank(
            shape,
            rows(width**-0.5, rank, width),
            rows(0.5 * rank**-0.5, rank, width),
            rows(0.5, rank) if optional else None,
            rows(0.3, width) if optional else None,
            site=site,
            **settings,
        )
    direction = rows(1.5 * width**-0.5, width)
    if method == "ace":
        return Bundle.ace(shape, direction, rows(0.5, width), site=site, **settings)
    make = Bundle.addition if method == "addition" else Bundle.ablation
    return make(shape, direction, site=site, **settings)


def edge_forms(shape: ModelShape) -> list[str]:
    return ["heads", "qkv_groups"] if shape.num_heads == shape.num_kv_heads else ["qkv_groups"]


def edges(
    shape: ModelShape, kind: str, bias: str, dense: bool, replace: dict[str, str], strength: float, rng: Rng
) -> Bundle:
    """Edges listed (one in ten cut or weakened, and most of what one destination reads), or a dense mask of all."""
    graph = EdgeGraph(shape, kind)
    sources, destinations = graph.source_names, graph.destination_names
    settings: dict[str, Any] = {"destinations": kind, "attn_bias": bias, "strength": min(abs(strength), 1)}
    if replace:
        settings["replace"] = replace
    constants = rng.normal(0, 0.3, (len(sources), shape.hidden_size))
    if dense:
        mask = rng.choice([0, 0.5, 1, 1, 1, 1], (len(destinations), len(sources)))
        return Bundle.edge_mask(shape, mask=mask, constants=constants, **settings)
    starved = int(rng.integers(1, len(destinations)))
    listed = [
        (sources[source], name, float(pick(rng, (0, 0, 0.25, 0.5))))
        for index, name in enumerate(destinations)
        for source in range(graph.visible[index])
        if rng.random() < (0.9 if index == starved and source > 0 else 0.1)
    ]
    return Bundle.edge_mask(shape, listed or [(sources[0], "logits", 0.5)], constants=constants, **settings)


def pick(rng: Rng, choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]
