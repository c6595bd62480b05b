"""A bundle of interventions: read, made, checked, joined and written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .compose import Composition, compose
from .describe import describe
from .errors import BundleError, refuse
from .manifest import check_manifest
from .shape import ModelShape
from .strict_json import parse_manifest, show
from .tensors import StoredTensor, parse_safetensors, write_safetensors

FORMAT = "sluice.interventions/1"

Rows = Mapping[int, Any]
"""Vectors by layer: numpy arrays, torch tensors or lists."""


@dataclass
class Bundle:
    """What changes inside a model while it runs: a manifest, and the tensors of its stages.

    `file` names the bundle in errors. The manifest is checked when the bundle is made; `validate` checks the rest.
    """

    manifest: dict[str, Any]
    tensors: dict[str, StoredTensor] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    file: str = "bundle"

    def __post_init__(self) -> None:
        check_manifest(self.manifest, self.file)

    # Files

    @staticmethod
    def read(path: str | Path) -> Bundle:
        """Reads a file. Raises `bad_file` if it is damaged, `bad_bundle` naming stage and field if it is refused."""
        return Bundle.from_bytes(Path(path).read_bytes(), str(path))

    @staticmethod
    def from_bytes(data: bytes, file: str = "bundle") -> Bundle:
        """Reads the content of a file."""
        tensors, metadata = parse_safetensors(data, file)
        found = metadata.pop("format", None)
        if found != FORMAT:
            problem = "is missing" if found is None else f"is {show(found)}"
            hint = "This safetensors file is not a bundle of interventions."
            if found is not None and found.startswith("sluice.interventions/"):
                hint = "It was written for another version of the format."
            raise BundleError("bad_bundle", f'{file}: format {problem} in its metadata, not "{FORMAT}"', hint)
        if "manifest" not in metadata:
            raise BundleError("bad_bundle", f"{file}: manifest is missing in its metadata")
        return Bundle(parse_manifest(metadata.pop("manifest"), file), tensors, metadata, file)

    def to_bytes(self) -> bytes:
        """The content of a file; tensors keep their dtype."""
        text = _manifest_text(self.manifest, self.file)
        return write_safetensors(self.tensors, {**self.metadata, "format": FORMAT, "manifest": text})

    def write(self, path: str | Path) -> None:
        """Checks the bundle against its own base and writes it."""
        self.validate()
        Path(path).write_bytes(self.to_bytes())

    # Use

    def validate(self, model: Any = None) -> Composition:
        """Checks everything against a model, a configuration or a shape; without one, against the bundle's own base.

        Raises `BundleError` naming file, stage and field; the result has the stages, and warnings.
        """
        base = self.manifest["base"]
        own = ModelShape(**{name: base[name] for name in ModelShape.__dataclass_fields__})
        return compose(own if model is None else ModelShape.of(model), [self])

    def inspect(self) -> str:
        """What the bundle does, in words."""
        return describe(self.manifest, self.validate(), self.tensors)

    def __add__(self, other: Bundle) -> Bundle:
        """The stages of both, in this order. Ids may not clash; checks are dropped, as each holds for one bundle."""
        first, second = self.manifest, other.manifest
        for name in ModelShape.__dataclass_fields__:
            if first["base"][name] != second["base"][name]:
                problem = f"is {show(second['base'][name])}, but {self.file} has {show(first['base'][name])}"
                raise refuse(other.file, f"base.{name}", problem, "Bundles for different models cannot be one.")
        for name in other.tensors:
            if name in self.tensors:
                raise refuse(other.file, f"tensor {name}", "is also in a bundle before it")
        taken = {stage["id"] for stage in first["stages"]}
        for stage in second["stages"]:
            if stage["id"] in taken:
                raise refuse(f'{other.file}: stage "{stage["id"]}"', "id", "is also a stage of a bundle before it")
        fit = {part["name"]: part["fit"] for part in (first, second) if "fit" in part}
        manifest: dict[str, Any] = {
            "name": f"{first['name']} + {second['name']}",
            "base": {**second["base"], **first["base"]},
            "stages": [*first["stages"], *second["stages"]],
        }
        if fit:
            manifest["fit"] = fit
        return Bundle(manifest, {**self.tensors, **other.tensors})

    # Constructors: one stage each; `+` joins them. `model` is whatever ModelShape.of takes.

    @staticmethod
    def ace(
        model: Any, direction: Rows, reference: Rows, *, site: str = "resid_post", id: str = "ace", **stage: Any
    ) -> Bundle:
        """Affine concept editing: the coordinate along a direction becomes the reference's, plus alpha times it."""
        return _affine(model, "ace", {"direction": direction, "reference": reference}, site, id, stage)

    @staticmethod
    def addition(
        model: Any, direction: Rows, *, site: str = "resid_post", id: str = "addition", **stage: Any
    ) -> Bundle:
        """Adds alpha times a direction: CAA, control vectors."""
        return _affine(model, "addition", {"direction": direction}, site, id, stage)

    @staticmethod
    def ablation(
        model: Any, direction: Rows, *, site: str = "resid_post", id: str = "ablation", **stage: Any
    ) -> Bundle:
        """Takes away the component along a direction."""
        return _affine(model, "directional_ablation", {"direction": direction}, site, id, stage)

    @staticmethod
    def low_rank(
        model: Any,
        v: Rows,
        u: Rows,
        c: Rows | None = None,
        bias: Rows | None = None,
        *,
        site: str = "resid_post",
        id: str = "low_rank",
        **stage: Any,
    ) -> Bundle:
        """h + strength · (bias − g(h·Vᵀ − c)·U), with v and u `[r, width]`: LEACE, LoReFT."""
        return _affine(model, "low_rank", {"v": v, "u": u, "c": c or {}, "bias": bias or {}}, site, id, stage)

    @staticmethod
    def neuron_scale(
        model: Any,
        scale: Rows | None = None,
        shift: Rows | None = None,
        *,
        site: str,
        id: str = "neurons",
        **stage: Any,
    ) -> Bundle:
        """a + strength · ((scale − 1)·a + shift) at each of a site's neurons: AurA, Damp, Det-zero, DPO edits."""
        return _at_sites(model, {"scale": scale or {}, "shift": shift or {}}, site, id, {"kind": "neuron_scale"}, stage)

    @staticmethod
    def edge_mask(
        model: Any,
        edges: Iterable[tuple[str, str, float]] = (),
        *,
        mask: Any = None,
        constants: Any = None,
        destinations: str | None = None,
        id: str = "edges",
        **stage: Any,
    ) -> Bundle:
        """Cuts edges `(source, destination, m)`, m from 0 (cut) to 1 (kept); `mask` `[destinations, sources]` has all.

        `destinations` is `heads` where every head has keys of its own, else `qkv_groups`; other fields: `attn_bias`,
        `replace`, `strength`, `name`, `description`, `fit`.
        """
        shape = ModelShape.of(model)
        kind = destinations or ("heads" if shape.num_heads == shape.num_kv_heads else "qkv_groups")
        written = {"kind": "edge_mask", "destinations": kind, "edges": [list(edge) for edge in edges]}
        given = {"mask": mask, "constants": constants}
        tensors = {f"{id}.{name}": StoredTensor.of(value) for name, value in given.items() if value is not None}
        return _made(shape, {"id": id, **written}, stage, tensors)


def _affine(
    model: Any, method: str, rows: Mapping[str, Rows], site: str, stage_id: str, more: dict[str, Any]
) -> Bundle:
    return _at_sites(model, rows, site, stage_id, {"kind": "affine", "method": method}, more)


def _at_sites(
    model: Any, rows: Mapping[str, Rows], site: str, stage_id: str, kind: dict[str, Any], more: dict[str, Any]
) -> Bundle:
    layers: Sequence[int] = sorted({int(layer) for by_layer in rows.values() for layer in by_layer})
    tensors = {
        f"{stage_id}.{int(layer)}.{name}": StoredTensor.of(value)
        for name, by_layer in rows.items()
        for layer, value in by_layer.items()
    }
    return _made(ModelShape.of(model), {"id": stage_id, **kind, "site": site, "layers": list(layers)}, more, tensors)


def _made(shape: ModelShape, stage: dict[str, Any], more: dict[str, Any], tensors: dict[str, StoredTensor]) -> Bundle:
    """A bundle of one stage. `more`: fields of the stage, and of the manifest (name, description, fit)."""
    about: dict[str, Any] = {name: more.pop(name) for name in ("description", "fit") if name in more}
    name = more.pop("name", stage["id"])
    manifest: dict[str, Any] = {"name": name, **about, "base": shape.base(), "stages": [{**stage, **more}]}
    # Through text, so that what numpy or a tuple brought is as it will be read.
    bundle = Bundle(parse_manifest(_manifest_text(manifest, name), name), tensors, file=name)
    bundle.validate()
    return bundle


def _manifest_text(manifest: Mapping[str, Any], file: str) -> str:
    def plain(value: Any) -> Any:
        if hasattr(value, "tolist"):  # numpy's numbers and arrays
            return value.tolist()
        raise TypeError(f"{type(value).__name__} has no form in JSON")

    try:
        return json.dumps(manifest, allow_nan=False, default=plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise BundleError("bad_bundle", f"{file}: manifest has no form in JSON: {error}") from error
