"""The manifest of a bundle, with every field that is read checked for its type.

What depends on the model or on the tensors is checked by `compose.py`.
"""

from __future__ import annotations

import re
from typing import Any

from .errors import BundleError, refuse
from .fields import Fields, is_float32, is_integer
from .kinds import AFFINE_METHODS, AFFINE_SITES, KINDS, NEURON_SITES
from .positions import check_positions
from .shape import FIELDS
from .strict_json import show

ID = re.compile(r"[A-Za-z0-9_-]+\Z")
DIGEST = re.compile(r"[0-9a-fA-F]{64}\Z")

SIZES = FIELDS[1:]
# Bounds of what a base may claim, as in the engine: many times what the largest model has.
MOST = {"num_layers": 2048, "num_heads": 2048, "num_kv_heads": 2048}
MOST_SOURCES = 1 << 16
MOST_STAGES = 4096


def check_manifest(json: Any, file: str) -> dict[str, Any]:
    """Checks what the JSON of a manifest holds; the result is the same object."""
    fields = Fields(json, file)
    fields.string("name")
    if fields.has("description"):
        fields.string("description")
    _check_base(fields.object("base"))
    if fields.has("fit"):
        fields.object("fit")
    if fields.has("checks"):
        for index, check in enumerate(fields.list("checks")):
            _check_check(check, file, index)
    stages = fields.list("stages")
    if not stages:
        raise fields.refuse("stages", "is empty: the bundle would do nothing")
    if len(stages) > MOST_STAGES:
        raise fields.refuse("stages", f"has {len(stages)} entries; {MOST_STAGES} at most are read")
    _check_sources(json["base"], stages, file)
    ids: set[str] = set()
    for index, stage in enumerate(stages):
        stage_id = _check_stage(stage, file, index)
        if stage_id in ids:
            raise refuse(f'{file}: stage "{stage_id}"', "id", "names two stages; each needs its own")
        ids.add(stage_id)
    checked: dict[str, Any] = json
    return checked


def _check_base(base: Fields) -> None:
    base.string("model_type")
    for size in SIZES:
        if size in MOST:
            base.integer(size, 1, MOST[size])
        else:
            base.integer(size, 1)
    if base.has("repo"):
        base.string("repo")
    for digest in ("weights_sha256", "tokenizer_sha256"):
        if base.has(digest) and not DIGEST.match(base.string(digest)):
            raise base.refuse(digest, f"is {show(base.raw(digest))}, not 64 hexadecimal digits")


def _check_sources(base: dict[str, Any], stages: list[Any], file: str) -> None:
    """Every head and every MLP is a source of an edge mask, and so an entry of lists."""
    sources = 1 + base["num_layers"] * (base["num_heads"] + 1)
    has_mask = any(isinstance(stage, dict) and stage.get("kind") == "edge_mask" for stage in stages)
    if has_mask and sources > MOST_SOURCES:
        problem = f"has {sources} sources of edges in {base['num_layers']} layers; an edge mask can have {MOST_SOURCES}"
        raise refuse(file, "base", problem)


def _check_check(json: Any, file: str, index: int) -> None:
    check = Fields(json, file, f"checks[{index}]")
    tokens = check.list("tokens")
    if not tokens or not all(is_integer(token, 0) for token in tokens):
        raise check.refuse("tokens", f"is {show(tokens)}, not a list of token ids")
    if check.has("prompt_length"):
        check.integer("prompt_length", 1, len(tokens))
    top = check.list("top")
    if not top or not all(
        isinstance(pair, list) and len(pair) == 2 and is_integer(pair[0], 0) and is_float32(pair[1]) for pair in top
    ):
        raise check.refuse("top", f"is {show(top)}, not a list of pairs [token id, logit]")
    if check.number("atol") < 0:
        raise check.refuse("atol", f"is {show(check.raw('atol'))}; it may not be negative")


def _check_stage(json: Any, file: str, index: int) -> str:
    stage_id = Fields(json, file, f"stages[{index}]").string("id")
    if not ID.match(stage_id):
        hint = "An id is made of letters, digits, _ and -."
        raise refuse(file, f"stages[{index}].id", f"is {show(stage_id)}", hint)
    stage = Fields(json, f'{file}: stage "{stage_id}"')
    kind = stage.word("kind", KINDS)
    if kind == "edge_mask":
        _check_edge_mask(stage)
    elif kind == "neuron_scale":
        _check_at_sites(stage, kind, NEURON_SITES, [])
    else:
        _check_affine(stage)
    if stage.has("strength"):
        stage.number("strength")
    return stage_id


def _check_at_sites(stage: Fields, kind: str, sites: tuple[str, ...], own: list[str]) -> None:
    stage.only(["id", "kind", *own, "site", "layers", "positions", "strength"])
    site = stage.raw("site")
    if site not in sites:
        problem = f"is {show(site)}, which is not a site for a stage of kind {kind}"
        raise stage.refuse("site", problem, f"It can act at {', '.join(sites)}.")
    if stage.has("layers"):
        _check_layers(stage)
    if stage.has("positions"):
        check_positions(stage.raw("positions"), stage.refuse)


def _check_layers(stage: Fields) -> None:
    layers = stage.raw("layers")
    if layers == "all":
        return
    if not isinstance(layers, list) or not all(is_integer(layer, 0) for layer in layers):
        raise stage.refuse("layers", f'is {show(layers)}, neither "all" nor a list of layer numbers')
    if not layers:
        raise stage.refuse("layers", "is empty: the stage would touch nothing")
    for index, layer in enumerate(layers):
        if layer in layers[:index]:
            raise stage.refuse("layers", f"lists layer {layer} twice")


def _check_affine(stage: Fields) -> None:
    _check_at_sites(stage, "affine", AFFINE_SITES, ["method", "gate", "alpha"])
    method = stage.word("method", tuple(AFFINE_METHODS))
    if stage.has("alpha"):
        stage.number("alpha")
    if not stage.has("gate"):
        return
    if not AFFINE_METHODS[method].gates:
        hint = "Gates act on what the other methods take away."
        raise stage.refuse("gate", f"has no meaning for {method}", hint)
    _check_gate(stage)


def _check_gate(stage: Fields) -> None:
    gate = stage.raw("gate")
    if gate in ("identity", "relu"):
        return
    if gate is not None and not isinstance(gate, (dict, list)):
        raise stage.refuse(
            "gate", f"is {show(gate)}, which is unknown", 'Known are identity, relu and {"clamp": [lo, hi]}.'
        )
    inner = stage.object("gate")
    inner.only(["clamp"])
    bounds = inner.list("clamp")
    if len(bounds) != 2 or not all(is_float32(bound) for bound in bounds):
        raise inner.refuse("clamp", f"is {show(bounds)}, not two finite numbers [lo, hi]")
    if bounds[0] > bounds[1]:
        raise inner.refuse("clamp", f"is {show(bounds)}: lo is above hi")


def _check_edge_mask(stage: Fields) -> None:
    if stage.has("positions"):
        raise stage.refuse("positions", "has no meaning for an edge_mask, which acts everywhere", "Leave it out.")
    stage.only(["id", "kind", "destinations", "attn_bias", "replace", "edges", "strength"])
    stage.word("destinations", ("heads", "qkv_groups"))
    if stage.has("attn_bias"):
        stage.word("attn_bias", ("per_head", "separate"))
    if stage.has("replace"):
        replace = stage.object("replace")
        replace.only(["attn", "mlp", "logits"])
        for name in ("attn", "mlp", "logits"):
            if replace.has(name):
                replace.word(name, ("zero", "constants"))
    if not stage.has("edges"):
        return
    for index, edge in enumerate(stage.list("edges")):
        _check_edge(stage, index, edge)


def _check_edge(stage: Fields, index: int, edge: Any) -> None:
    def wrong(problem: str) -> BundleError:
        return stage.refuse(f"edges[{index}]", f"is {show(edge)}{problem}")

    if not isinstance(edge, list) or len(edge) != 3 or not isinstance(edge[0], str) or not isinstance(edge[1], str):
        raise wrong(", not [source, destination, value]")
    if not is_float32(edge[2]):
        raise wrong(", not [source, destination, value]")
    if not 0 <= edge[2] <= 1:
        raise wrong(": its value lies outside [0, 1]")
