"""Where the sites of a transformers model lie: its blocks' modules, by family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import BundleError
from .shape import ModelShape

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

FAMILIES = ("gpt2", "llama", "mistral", "qwen2")


@dataclass(frozen=True)
class Projection:
    """The columns of a module's output that are the queries, keys or values: `heads` of them from `start` on."""

    kind: str
    module: Module
    start: int
    heads: int


@dataclass(frozen=True)
class Block:
    """The modules of one block."""

    block: Module
    attn_norm: Module
    projections: list[Projection]
    attn: Module
    attn_output: Module
    mlp_norm: Module
    mlp_inputs: dict[str, Module]
    """By the site of their output: `mlp_pre`, or `gate_pre` and `up`."""
    mlp_output: Module


@dataclass(frozen=True)
class Layout:
    """The modules of a model that stages act at."""

    base: Module
    """Takes token ids and gives the normed stream."""
    blocks: list[Block]
    final_norm: Module


def layout_of(model: Any, shape: ModelShape) -> Layout:
    """Finds the modules. Raises `usage` for a model of a family that is not known here."""
    if shape.model_type not in FAMILIES:
        problem = f"apply does not know models of type {shape.model_type}"
        raise BundleError("usage", problem, f"It knows {', '.join(FAMILIES)}.")
    if hasattr(model, "get_base_model"):  # PEFT
        model = model.get_base_model()
    base = getattr(model, "base_model", model)
    if shape.plain_mlp:
        return Layout(base, [_gpt2(block, shape) for block in base.h], base.ln_f)
    return Layout(base, [_llama(block, shape) for block in base.layers], base.norm)


def _gpt2(block: Any, shape: ModelShape) -> Block:
    width = shape.hidden_size
    return Block(
        block=block,
        attn_norm=block.ln_1,
        projections=[
            Projection(kind, block.attn.c_attn, index * width, shape.num_heads) for index, kind in enumerate("qkv")
        ],
        attn=block.attn,
        attn_output=block.attn.c_proj,
        mlp_norm=block.ln_2,
        mlp_inputs={"mlp_pre": block.mlp.c_fc},
        mlp_output=block.mlp.c_proj,
    )


def _llama(block: Any, shape: ModelShape) -> Block:
    attn = block.self_attn
    return Block(
        block=block,
        attn_norm=block.input_layernorm,
        projections=[
            Projection("q", attn.q_proj, 0, shape.num_heads),
            Projection("k", attn.k_proj, 0, shape.num_kv_heads),
            Projection("v", attn.v_proj, 0, shape.num_kv_heads),
        ],
        attn=attn,
        attn_output=attn.o_proj,
        mlp_norm=block.post_attention_layernorm,
        mlp_inputs={"gate_pre": block.mlp.gate_proj, "up": block.mlp.up_proj},
        mlp_output=block.mlp.down_proj,
    )


def weight_of(module: Any) -> tuple[Tensor, Tensor | None]:
    """Weight `[in, out]` and bias of a projection. Raises `usage` for one that is wrapped or quantised."""
    name = type(module).__name__
    if name not in ("Linear", "Conv1D"):
        problem = f"An edge mask needs plain projections, but this model has a {name}"
        raise BundleError("usage", problem, "Merge adapters into the weights first; quantised weights do not work.")
    return (module.weight if name == "Conv1D" else module.weight.T), module.bias
