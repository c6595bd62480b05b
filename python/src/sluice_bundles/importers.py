"""What other tools hold, a place's name and a tensor, made a bundle.

All four take a model (whatever `ModelShape.of` takes) and tensors by place, and make one stage per site:

- `method="addition"` adds alpha times the tensor; at a site of neurons that is a shift;
- `method="directional_ablation"` and `method="ace"` act along it (`ace` needs `reference`, tensors by the same places);
- `method="scale"` multiplies each neuron by the tensor.

Other keywords (`strength`, `alpha`, `positions`, `gate`, `name`, `description`, `fit`) are those of the stages.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

from .bundle import Bundle, Rows
from .errors import BundleError
from .kinds import AFFINE_SITES, NEURON_SITES
from .shape import ModelShape
from .site_names import site_of_hook
from .strict_json import show

_METHODS = ("addition", "directional_ablation", "ace", "scale")


def from_transformer_lens(
    model: Any,
    tensors: Mapping[str, Any],
    *,
    method: str = "addition",
    reference: Mapping[str, Any] | None = None,
    id: str = "transformer_lens",
    **stage: Any,
) -> Bundle:
    """Tensors by hook name, such as `blocks.7.hook_resid_post`; `hook_z` may be `[heads, head_dim]`.

    A hook whose values differ from every site's is refused. TransformerLens' `from_pretrained` centres what GPT-2
    writes to the stream, and folds norms, unless told not to (`from_pretrained_no_processing`): directions
    measured there then lack their mean, and its norms' outputs are others.
    """
    shape = ModelShape.of(model)

    def place_of(hook: str) -> tuple[str, int]:
        return _with_layer(hook, *site_of_hook(shape, hook))

    return _bundle(shape, tensors, place_of, method, reference, id, stage)


def from_nnsight(
    model: Any,
    tensors: Mapping[str, Any],
    *,
    method: str = "addition",
    reference: Mapping[str, Any] | None = None,
    id: str = "nnsight",
    **stage: Any,
) -> Bundle:
    """Tensors by path, as a trace has it: `transformer.h.5.output[0]`, `model.layers.5.mlp.down_proj.input`."""
    shape = ModelShape.of(model)
    return _bundle(shape, tensors, lambda path: _site_of_path(shape, path), method, reference, id, stage)


def from_pyvene(
    model: Any,
    tensors: Mapping[str | tuple[int, str], Any],
    *,
    method: str = "addition",
    reference: Mapping[str | tuple[int, str], Any] | None = None,
    id: str = "pyvene",
    **stage: Any,
) -> Bundle:
    """Tensors by `(layer, component)`, such as `(8, "block_output")`, or by pyvene's keys of interventions."""
    shape = ModelShape.of(model)
    return _bundle(shape, tensors, lambda key: _site_of_component(shape, key), method, reference, id, stage)


def from_repeng(model: Any, vector: Any, *, id: str = "control", **stage: Any) -> Bundle:
    """A repeng `ControlVector`, or its `directions` by layer, added to the output of each block."""
    shape = ModelShape.of(model)
    directions = getattr(vector, "directions", vector)
    if not isinstance(directions, Mapping):
        raise BundleError("usage", f"A control vector has directions by layer; this is {show(type(vector).__name__)}")
    made_for = getattr(vector, "model_type", shape.model_type)
    if made_for != shape.model_type:
        message = f"The control vector was made for a model of type {made_for}; this one is a {shape.model_type}"
        warnings.warn(message, stacklevel=2)
    rows = {}
    for layer, direction in directions.items():
        place = int(layer) + shape.num_layers if int(layer) < 0 else int(layer)
        rows[place] = direction
    return Bundle.addition(shape, rows, site="resid_post", id=id, **stage)


def _bundle(
    shape: ModelShape,
    tensors: Mapping[Any, Any],
    place_of: Any,
    method: str,
    reference: Mapping[Any, Any] | None,
    stage_id: str,
    stage: dict[str, Any],
) -> Bundle:
    if method not in _METHODS:
        raise BundleError("usage", f"method is {show(method)}", f"Known are {', '.join(_METHODS)}.")
    if not tensors:
        raise BundleError("usage", "There is no tensor to make a stage of")
    sites = _by_site(tensors, place_of)
    others = _by_site(reference or {}, place_of)
    made: Bundle | None = None
    for site, rows in sites.items():
        own_id = stage_id if len(sites) == 1 else f"{stage_id}-{site}"
        part = _stage(shape, site, rows, others.get(site, {}), method, own_id, dict(stage))
        made = part if made is None else made + part
    if made is None:
        raise RuntimeError("Tensors made no stage")
    return made


def _by_site(tensors: Mapping[Any, Any], place_of: Any) -> dict[str, dict[int, Any]]:
    sites: dict[str, dict[int, Any]] = {}
    for key, value in tensors.items():
        site, layer = place_of(key)
        rows = sites.setdefault(site, {})
        if layer in rows:
            raise BundleError("usage", f"{show(key)} is {site}.{layer}, which another name is too")
        rows[layer] = value.reshape(-1) if site == "attn_z" and hasattr(value, "reshape") else value
    return sites


def _stage(
    shape: ModelShape, site: str, rows: Rows, reference: Rows, method: str, stage_id: str, stage: dict[str, Any]
) -> Bundle:
    if site not in AFFINE_SITES and site not in NEURON_SITES:
        raise BundleError("usage", f"No stage can act at {site}", "It can be captured only.")
    if method == "scale":
        if site not in NEURON_SITES:
            raise BundleError("usage", f"Nothing is scaled at {site}", f"Neurons are at {', '.join(NEURON_SITES)}.")
        return Bundle.neuron_scale(shape, rows, site=site, id=stage_id, **stage)
    if site not in AFFINE_SITES:
        if method != "addition" or "alpha" in stage:
            hint = f"Directions act at {', '.join(AFFINE_SITES)}; at neurons, addition (without alpha) and scale do."
            raise BundleError("usage", f"{method} does not act at {site} in this way", hint)
        return Bundle.neuron_scale(shape, shift=rows, site=site, id=stage_id, **stage)
    if method == "ace":
        return Bundle.ace(shape, rows, reference, site=site, id=stage_id, **stage)
    make = Bundle.addition if method == "addition" else Bundle.ablation
    return make(shape, rows, site=site, id=stage_id, **stage)


def _with_layer(name: str, site: str, layer: int | None) -> tuple[str, int]:
    if layer is None:
        raise BundleError("usage", f"{name} is {site}, where no stage can act")
    return site, layer


_NNSIGHT = {
    "gpt2": (
        r"(?:transformer\.)?h\.(\d+)",
        {
            "input": "resid_pre",
            "output": "resid_post",
            "ln_1.output": "attn_norm",
            "attn.input": "attn_norm",
            "attn.c_attn.input": "attn_norm",
            "attn.c_proj.input": "attn_z",
            "attn.c_proj.output": "attn_out",
            "attn.output": "attn_out",
            "ln_2.output": "mlp_norm",
            "mlp.input": "mlp_norm",
            "mlp.c_fc.input": "mlp_norm",
            "mlp.c_fc.output": "mlp_pre",
            "mlp.act.input": "mlp_pre",
            "mlp.act.output": "mlp_post",
            "mlp.c_proj.input": "mlp_post",
            "mlp.c_proj.output": "mlp_out",
            "mlp.output": "mlp_out",
        },
    ),
    "gated": (
        r"(?:model\.)?layers\.(\d+)",
        {
            "input": "resid_pre",
            "output": "resid_post",
            "input_layernorm.output": "attn_norm",
            "self_attn.input": "attn_norm",
            "self_attn.o_proj.input": "attn_z",
            "self_attn.o_proj.output": "attn_out",
            "self_attn.output": "attn_out",
            "post_attention_layernorm.output": "mlp_norm",
            "mlp.input": "mlp_norm",
            "mlp.gate_proj.output": "gate_pre",
            "mlp.act_fn.input": "gate_pre",
            "mlp.up_proj.output": "up",
            "mlp.down_proj.input": "mlp_post",
            "mlp.down_proj.output": "mlp_out",
            "mlp.output": "mlp_out",
        },
    ),
}


def _site_of_path(shape: ModelShape, path: str) -> tuple[str, int]:
    prefix, sites = _NNSIGHT["gpt2" if shape.plain_mlp else "gated"]
    match = re.fullmatch(prefix + r"\.(.+?)(?:\[0\])*", path)
    if match and match[2] in sites:
        return sites[match[2]], int(match[1])
    hint = f"Known in a layer are {', '.join(sites)}. Changing a norm's input leaves the stream as it is."
    raise BundleError("usage", f"{show(path)} is not a place of a {shape.model_type} that has a site here", hint)


_PYVENE = {
    "block_input": "resid_pre",
    "block_output": "resid_post",
    "attention_input": "attn_norm",
    "attention_value_output": "attn_z",
    "attention_output": "attn_out",
    "mlp_input": "mlp_norm",
    "mlp_activation": "mlp_post",
    "mlp_output": "mlp_out",
}


def _site_of_component(shape: ModelShape, key: str | tuple[int, str]) -> tuple[str, int]:
    if isinstance(key, str):
        # layer.8.comp.block_output.unit.pos.nunit.1#0, or with underscores.
        match = re.fullmatch(r"layer[._](\d+)[._](?:repr|comp)[._](\w+?)[._]unit[._].*", key)
        if match is None:
            raise BundleError(
                "usage", f"{show(key)} is not a key of pyvene's", 'Give (layer, component): (8, "block_output").'
            )
        layer, component = int(match[1]), match[2]
    else:
        layer, component = key
    if component == "mlp_activation" and not shape.plain_mlp:
        hint = "pyvene's mlp_activation is the activated gate there, before it is multiplied; no site has these values."
        raise BundleError("usage", f"mlp_activation has no site in a {shape.model_type}", hint)
    if component not in _PYVENE:
        raise BundleError(
            "usage", f"{show(component)} is not a component with a site", f"Known are {', '.join(_PYVENE)}."
        )
    return _PYVENE[component], layer
