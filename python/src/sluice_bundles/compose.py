"""Bundles against a model: everything checked and resolved, so that the result can be applied as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .edges import EdgeGraph
from .errors import BundleError, refuse
from .fields import is_float32
from .kinds import AFFINE_METHODS, NEURON_TENSORS, EdgeMaskStage, SiteStage, Stage, TensorSpec
from .manifest import ID
from .positions import check_positions, tokens_in
from .shape import FIELDS, ModelShape
from .site_names import site_width
from .strict_json import show

if TYPE_CHECKING:
    from .bundle import Bundle

_FLOATS = ("F32", "F16", "BF16")


@dataclass
class Composition:
    """Stages of one or more bundles in the order in which they act, and what deserves a word."""

    stages: list[Stage] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def compose(
    shape: ModelShape,
    bundles: Sequence[Bundle | tuple[Bundle, str]],
    strengths: Mapping[str, float] | None = None,
    params: Mapping[str, Mapping[str, float]] | None = None,
    positions: Mapping[str, Any] | None = None,
) -> Composition:
    """Checks bundles against a model and resolves them to stages.

    A pair `(bundle, prefix)` makes the bundle's ids `PREFIX/ID`. Strengths, params (`{"id": {"alpha": a}}`) and
    positions go by stage id and replace the bundles' own. Raises `BundleError`: `bad_bundle` naming file,
    stage and field, `usage` for settings that name no stage.
    """
    composition = Composition()
    files: dict[str, str] = {}
    for entry in bundles:
        bundle, prefix = entry if isinstance(entry, tuple) else (entry, None)
        if prefix is not None and not ID.match(prefix):
            hint = "A prefix is made of letters, digits, _ and -."
            raise BundleError("usage", f"The prefix {show(prefix)} for {bundle.file} is not possible", hint)
        _check_base(shape, bundle)
        _check_tokens(shape, bundle)
        for stage in bundle.manifest["stages"]:
            stage_id = stage["id"] if prefix is None else f"{prefix}/{stage['id']}"
            if stage_id in files:
                problem = f"is also a stage of {files[stage_id]}"
                raise refuse(f'{bundle.file}: stage "{stage_id}"', "id", problem, "Give one of them a prefix.")
            files[stage_id] = bundle.file
            composition.stages.append(_resolve(shape, bundle, stage, stage_id))
            composition.warnings += _idle_alpha(bundle.file, stage_id, stage)
    apply_settings(composition.stages, shape, strengths, params, positions)
    _check_edge_masks(shape, composition.stages, files)
    return composition


def apply_settings(
    stages: Sequence[Stage],
    shape: ModelShape,
    strengths: Mapping[str, float] | None = None,
    params: Mapping[str, Mapping[str, float]] | None = None,
    positions: Mapping[str, Any] | None = None,
) -> None:
    """Sets strengths, alphas and positions by stage id. Raises `usage` for names and values that do not fit."""
    by_id = {stage.id: stage for stage in stages}
    at_sites = {stage.id: stage for stage in stages if isinstance(stage, SiteStage)}
    with_alpha = {stage_id: stage for stage_id, stage in at_sites.items() if stage.has_alpha}
    for stage_id, strength in (strengths or {}).items():
        _check_setting("strength", stage_id, strength, list(by_id))
        by_id[stage_id].strength = float(strength)
    for stage_id, values in (params or {}).items():
        for name, value in values.items():
            if name != "alpha":
                raise BundleError(
                    "usage", f"{show(name)} is not a parameter of stage {show(stage_id)}", "There is alpha."
                )
            _check_setting("alpha", stage_id, value, list(with_alpha))
            with_alpha[stage_id].alpha = float(value)
    for stage_id, value in (positions or {}).items():
        _check_named("positions", stage_id, list(at_sites))

        def wrong(name: str, problem: str, hint: str | None = None, stage_id: str = stage_id) -> BundleError:
            return BundleError("usage", f"Stage {show(stage_id)}: {name} {problem}", hint)

        check_positions(value, wrong, shape.vocab_size)
        at_sites[stage_id].positions = value


def _check_named(what: str, stage_id: str, known: list[str]) -> None:
    if stage_id in known:
        return
    which = {"strength": "No stage", "alpha": "No stage with an alpha", "positions": "No stage with positions"}[what]
    hint = f"There are {', '.join(known)}." if known else "There is none."
    raise BundleError("usage", f"{which} is called {show(stage_id)}", hint)


def _check_setting(what: str, stage_id: str, value: Any, known: list[str]) -> None:
    _check_named(what, stage_id, known)
    if not is_float32(value):
        problem = f'The {what} of stage "{stage_id}" is {show(value)}; it must be a finite float32 number'
        raise BundleError("usage", problem)


def _check_base(shape: ModelShape, bundle: Bundle) -> None:
    base = bundle.manifest["base"]
    for name in FIELDS:
        if base[name] != getattr(shape, name):
            problem = f"is {show(base[name])}, but the model's is {show(getattr(shape, name))}"
            raise refuse(bundle.file, f"base.{name}", problem, "The bundle was made for another model.")


def _check_tokens(shape: ModelShape, bundle: Bundle) -> None:
    for index, check in enumerate(bundle.manifest.get("checks", [])):
        for token in [*check["tokens"], *(pair[0] for pair in check["top"])]:
            if token >= shape.vocab_size:
                problem = f"names token {token}, but the vocabulary has {shape.vocab_size}"
                raise refuse(bundle.file, f"checks[{index}]", problem)


def _idle_alpha(file: str, stage_id: str, stage: Mapping[str, Any]) -> list[str]:
    if stage.get("alpha", 1) == 1 or AFFINE_METHODS[stage["method"]].alpha:
        return []
    return [f'{file}: stage "{stage_id}": its alpha of {stage["alpha"]} acts on nothing: {stage["method"]} has none']


def _resolve(shape: ModelShape, bundle: Bundle, stage: Mapping[str, Any], stage_id: str) -> Stage:
    where = f'{bundle.file}: stage "{stage["id"]}"'
    tensors = _StageTensors(bundle, stage["id"])
    strength = float(stage.get("strength", 1))
    if stage["kind"] == "edge_mask":
        return _resolve_edge_mask(shape, stage, stage_id, strength, tensors, where)
    positions = stage.get("positions", "all")
    for token in tokens_in(positions):
        if token >= shape.vocab_size:
            raise refuse(where, "positions", f"names token {token}, but the vocabulary has {shape.vocab_size}")
    width = site_width(shape, stage["site"])
    if width is None:
        problem = f'is "{stage["site"]}", which a model of type {shape.model_type} does not have'
        has = "mlp_pre and mlp_post" if shape.plain_mlp else "gate_pre, up and mlp_post"
        raise refuse(where, "site", problem, f"Its MLP has {has}.")
    layers = stage.get("layers", "all")
    if layers == "all":
        layers = range(shape.num_layers)
    for layer in layers:
        if layer >= shape.num_layers:
            raise refuse(where, "layers", f"lists layer {layer}, but the model's are 0 to {shape.num_layers - 1}")
    method = stage.get("method")
    specs = NEURON_TENSORS if method is None else AFFINE_METHODS[method].tensors
    return SiteStage(
        id=stage_id,
        kind=stage["kind"],
        site=stage["site"],
        layers=sorted(layers),
        positions=positions,
        strength=strength,
        values={layer: tensors.of_layer(layer, specs, width, method or stage["kind"]) for layer in sorted(layers)},
        method=method,
        gate=stage.get("gate", "identity"),
        alpha=float(stage.get("alpha", 1)),
    )


class _StageTensors:
    """The tensors of one stage, read by name, with their shapes and values checked."""

    def __init__(self, bundle: Bundle, stage_id: str) -> None:
        self._bundle = bundle
        self._id = stage_id

    def has(self, suffix: str) -> bool:
        return f"{self._id}.{suffix}" in self._bundle.tensors

    def read(self, suffix: str, expected: Sequence[int | None], finite: bool = True) -> npt.NDArray[np.float32]:
        tensor = self._bundle.tensors.get(f"{self._id}.{suffix}")
        if tensor is None:
            raise self.refuse(suffix, "is missing")
        if tensor.dtype not in _FLOATS:
            raise self.refuse(suffix, f"is of dtype {tensor.dtype}, not F32, F16 or BF16")
        fits = len(tensor.shape) == len(expected) and all(
            size == want or want is None for size, want in zip(tensor.shape, expected, strict=True)
        )
        if not fits or 0 in tensor.shape:
            wanted = ", ".join("r" if size is None else str(size) for size in expected)
            raise self.refuse(suffix, f"has shape [{', '.join(map(str, tensor.shape))}], not [{wanted}]")
        values = tensor.float32()
        bad = np.flatnonzero(~np.isfinite(values))
        if finite and len(bad) > 0:
            value = show(float(values.flat[bad[0]]))
            raise self.refuse(suffix, f"holds {value} at index {bad[0]}; every value must be finite")
        return values

    def of_layer(
        self, layer: int, specs: Mapping[str, TensorSpec], width: int, needs: str
    ) -> dict[str, npt.NDArray[np.float32]]:
        found: dict[str, npt.NDArray[np.float32]] = {}
        rank: int | None = None
        for name, spec in specs.items():
            suffix = f"{layer}.{name}"
            if spec.optional and not self.has(suffix):
                continue
            expected: dict[str, list[int | None]] = {"row": [width], "rows": [rank, width], "rank": [rank]}
            values = self.read(suffix, expected[spec.form])
            if spec.form == "rows":
                rank = values.shape[0]
            if spec.nonzero and not values.any():
                raise self.refuse(suffix, f"is zero; {needs} needs a {name}")
            found[name] = values
        if not found:
            first, *others = specs
            rest = "".join(f", and so is {self._id}.{layer}.{name}" for name in others)
            raise self.refuse(f"{layer}.{first}", f"is missing{rest}")
        return found

    def refuse(self, suffix: str, problem: str) -> BundleError:
        return refuse(f'{self._bundle.file}: stage "{self._id}"', f"tensor {self._id}.{suffix}", problem)


def _resolve_edge_mask(
    shape: ModelShape, stage: Mapping[str, Any], stage_id: str, strength: float, tensors: _StageTensors, where: str
) -> EdgeMaskStage:
    destinations = stage["destinations"]
    if destinations == "heads" and shape.num_heads != shape.num_kv_heads:
        problem = (
            f'is "heads", but this model\'s {shape.num_heads} query heads share {shape.num_kv_heads} key/value heads'
        )
        raise refuse(where, "destinations", problem, 'Use "qkv_groups" for it.')
    edges = stage.get("edges", [])
    if not edges and not tensors.has("mask"):
        problem = f"and the tensor {stage['id']}.mask are missing: the stage would touch nothing"
        raise refuse(where, "edges", problem)
    graph = EdgeGraph(shape, destinations)
    size = (len(graph.destination_names), len(graph.source_names))
    is_edge = np.arange(size[1])[None] < np.array(graph.visible)[:, None]
    mask = np.ones(size)
    if tensors.has("mask"):
        dense = tensors.read("mask", size, finite=False).astype(np.float64)
        bad = np.argwhere(is_edge & ~((dense >= 0) & (dense <= 1)))
        if len(bad) > 0:
            d, s = bad[0]
            edge = f"{graph.source_names[s]} → {graph.destination_names[d]}"
            raise tensors.refuse("mask", f"holds {show(float(dense[d, s]))} for {edge}, outside [0, 1]")
        mask = np.where(is_edge, dense, 1.0)
    structure = mask < 1
    listed = set()
    for index, (source, destination, value) in enumerate(edges):
        place = _find_edge(graph, source, destination, where, index)
        if place in listed:
            raise refuse(where, f"edges[{index}]", f"repeats {source} → {destination}")
        listed.add(place)
        mask[place] = value
        structure[place] = True
    constants = None
    if tensors.has("constants"):
        constants = tensors.read("constants", [size[1], shape.hidden_size])
    return EdgeMaskStage(
        id=stage_id,
        destinations=destinations,
        attn_bias=stage.get("attn_bias", "per_head"),
        replace={"attn": "constants", "mlp": "constants", "logits": "constants", **stage.get("replace", {})},
        mask=mask,
        structure=structure,
        constants=constants,
        strength=strength,
    )


def _find_edge(graph: EdgeGraph, source: str, destination: str, where: str, index: int) -> tuple[int, int]:
    field_name = f"edges[{index}]"
    s = graph.source_index.get(source)
    d = graph.destination_index.get(destination)
    if s is None:
        raise refuse(where, field_name, f"names {show(source)}, no source of this model")
    if d is None:
        problem = f'names {show(destination)}, no destination of this model by "{graph.destinations}"'
        raise refuse(where, field_name, problem)
    if s >= graph.visible[d]:
        problem = f"names {source} → {destination}, which is not an edge: a block reads only what was written before it"
        raise refuse(where, field_name, problem)
    return d, s


def _check_edge_masks(shape: ModelShape, stages: list[Stage], files: Mapping[str, str]) -> None:
    """What an edge mask does not go together with."""
    masks = [stage for stage in stages if isinstance(stage, EdgeMaskStage)]
    if not masks:
        return
    mask, *others = masks
    if others:
        where = f'{files[others[0].id]}: stage "{others[0].id}"'
        problem = f'is edge_mask, and so is stage "{mask.id}"'
        raise refuse(where, "kind", problem, "A composition can have one.")
    cut = {
        int(name.split(".")[1])
        for index, name in enumerate(EdgeGraph(shape, mask.destinations).source_names)
        if ".head." in name and mask.structure[:, index].any()
    }
    for stage in stages:
        if not isinstance(stage, SiteStage) or stage.site != "attn_out":
            continue
        for layer in stage.layers:
            if layer in cut:
                problem = (
                    f'is attn_out in layer {layer}, whose heads have masked edges in stage "{mask.id}": '
                    "what a head wrote would be undefined"
                )
                hint = "Edit attn_z instead, or leave that layer out."
                raise refuse(f'{files[stage.id]}: stage "{stage.id}"', "site", problem, hint)
