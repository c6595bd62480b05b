"""Tiny random models of each family and kind of RoPE, made by transformers and the same for one seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM


@dataclass(frozen=True)
class OracleModel:
    """A model of the matrix: a folder, what a reader is told of it, and what to run on it."""

    name: str
    title: str
    config: dict[str, Any] | None = None
    """None: the folder is one of `weights/`."""
    tokens: int = 14
    long: int = 0
    """A longer input for the plain logits, such as one beyond what RoPE was scaled from; 0 for none."""
    full: bool = True
    """Whether every stage kind × method × gate × site runs, or only compositions of all."""
    imports: bool = False
    """Whether it only carries bundles that importers made."""


_SMALL = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 96,
    "max_position_embeddings": 64,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
_GPT2 = {"model_type": "gpt2", "n_embd": 64, "n_head": 4, "n_layer": 3, "vocab_size": 96, "n_positions": 64}
_LLAMA = {**_SMALL, "model_type": "llama", "tie_word_embeddings": False}
_FACTORS = {"short_factor": [1 + i / 8 for i in range(8)], "long_factor": [1 + i * i for i in range(8)]}
_NARROW = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4, "intermediate_size": 16}


def _rope(title: str, rope_type: str, long: int, **fields: Any) -> OracleModel:
    config = {**_LLAMA, "rope_scaling": {"rope_type": rope_type, **fields}}
    if rope_type == "dynamic":
        config["max_position_embeddings"] = 16
    return OracleModel(f"llama-{rope_type}", title, config, long=long, full=False)


MODELS = [
    OracleModel("gpt2", "GPT-2", {**_GPT2, "bos_token_id": None, "eos_token_id": None}, long=60),
    OracleModel("llama2", "Llama 2-like", {**_LLAMA, "num_key_value_heads": 4}, long=60),
    OracleModel(
        "llama3",
        "Llama 3-like: GQA, `llama3` RoPE, wide heads, tied",
        {
            **_LLAMA,
            "head_dim": 24,
            "rope_theta": 500000.0,
            "tie_word_embeddings": True,
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            },
        },
        long=60,
    ),
    _rope("Llama, GQA, `linear` RoPE", "linear", 60, factor=2.5),
    _rope("Llama, GQA, `dynamic` RoPE", "dynamic", 16, factor=4.0),
    _rope("Llama, GQA, `yarn` RoPE", "yarn", 60, factor=4.0, original_max_position_embeddings=16),
    _rope("Llama, GQA, `longrope` RoPE", "longrope", 60, **_FACTORS, original_max_position_embeddings=16),
    OracleModel(
        "mistral", "Mistral: GQA, a window of 5", {**_SMALL, "model_type": "mistral", "sliding_window": 5}, long=60
    ),
    OracleModel("qwen2", "Qwen2: GQA, biases", {**_SMALL, "model_type": "qwen2", "tie_word_embeddings": True}, long=60),
    OracleModel("gpt2-stories", "`weights/gpt2-stories`, trained", tokens=9, full=False),
    OracleModel("stories260K", "`weights/stories260K`, trained", long=200, full=False),
    OracleModel(
        "carrier-gpt2",
        "GPT-2, as wide as gpt2-stories",
        {**_GPT2, "n_embd": 96, "n_head": 6, "n_layer": 4, "bos_token_id": None, "eos_token_id": None},
        imports=True,
    ),
    OracleModel(
        "carrier-4096",
        "Mistral, 32 layers of 4096",
        {**_SMALL, **_NARROW, "model_type": "mistral", "hidden_size": 4096, "num_hidden_layers": 32},
        imports=True,
    ),
    OracleModel(
        "carrier-3072",
        "Llama, 32 layers of 3072",
        {**_LLAMA, **_NARROW, "hidden_size": 3072, "num_hidden_layers": 32},
        imports=True,
    ),
    OracleModel(
        "carrier-1536",
        "Qwen2, 28 layers of 1536",
        {**_SMALL, **_NARROW, "model_type": "qwen2", "hidden_size": 1536, "num_hidden_layers": 28},
        imports=True,
    ),
]


def make(model: OracleModel, folder: Path, seed: int) -> None:
    """Writes config.json and model.safetensors in float32, with weights that make every part of a layer count."""
    if model.config is None:
        raise ValueError(f"{model.name} is a folder of weights/")
    fields = dict(model.config)
    torch.manual_seed(seed)
    made = AutoModelForCausalLM.from_config(AutoConfig.for_model(fields.pop("model_type"), **fields))
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "norm" in name or ".ln_" in name:
                parameter.normal_(1.0 if name.endswith("weight") else 0.0, 0.2)
            elif name.endswith("bias"):
                parameter.normal_(0.0, 0.2)
            elif "embed" in name or ".wte" in name or ".wpe" in name or "lm_head" in name:
                parameter.normal_(0.0, 0.6)
            else:
                inputs = parameter.shape[0] if model.config["model_type"] == "gpt2" else parameter.shape[1]
                parameter.normal_(0.0, inputs**-0.5)
    made.save_pretrained(folder)
