"""Writes test/data/transformers/: what transformers makes of configurations, for tests that run without Python.

    python scripts/transformers-fixtures.py      (needs torch and transformers; the versions are written into the files)

rope.json    inverse frequencies and attention factors of rotary embeddings, by config.json
logits.json  logits of tiny models in float64, by config.json; both sides make the same weights from the tensors' names
"""
import json
import math
import os
import tempfile
import warnings

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()
OUT = os.path.join(os.path.dirname(__file__), "..", "test", "data", "transformers")
VERSIONS = {"torch": torch.__version__, "transformers": transformers.__version__}
IDS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]


def config_of(fields):
    """As AutoModel reads a folder."""
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "config.json"), "w") as file:
            json.dump(fields, file)
        return AutoConfig.from_pretrained(folder)


def weights(name, count, scale, shift):
    """The same numbers as weightsOf in test/architectures/transformers.test.ts: exact in float32."""
    state = 2166136261
    for byte in name.encode():
        state = ((state ^ byte) * 16777619) & 0xFFFFFFFF
    values = []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values.append(((state >> 16) - 32768) / 32768 * scale + shift)
    return values


def model_of(fields):
    model = AutoModelForCausalLM.from_config(config_of(fields)).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_norm = "norm" in name or ".ln_" in name
            scale, shift = (0.25, 1.0) if is_norm and name.endswith("weight") else (0.5, 0.0)
            values = weights(name, parameter.numel(), scale, shift)
            parameter.copy_(torch.tensor(values, dtype=torch.float64).reshape(parameter.shape))
    return model


def write(name, data):
    with open(os.path.join(OUT, name), "w") as file:
        file.write(json.dumps({"made_with": VERSIONS, **data}, separators=(",", ":")).replace('{"title"', '\n{"title"'))
        file.write("\n")


# Sizes of heads that are in use, and small ones.
LLAMA = {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4, "max_position_embeddings": 256}
LARGE = {"model_type": "llama", "hidden_size": 1024, "num_attention_heads": 8, "max_position_embeddings": 131072}
PHI3 = {**LLAMA, "model_type": "phi3", "max_position_embeddings": 131072, "pad_token_id": 0}
YARN = {"rope_type": "yarn", "factor": 4.0}
FACTORS = {"short_factor": [1 + i / 8 for i in range(8)], "long_factor": [1 + i * i for i in range(8)]}
SIX = {"short_factor": [1 + i / 8 for i in range(6)], "long_factor": [2 + i * i for i in range(6)]}
ROPES = {
    "plain": LLAMA,
    "theta of rope_parameters": {**LLAMA, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
    "linear": {**LLAMA, "rope_scaling": {"type": "linear", "factor": 2.5}},
    "dynamic": {**LLAMA, "rope_scaling": {"type": "dynamic", "factor": 4.0}},
    "llama3": {
        **LARGE,
        "rope_theta": 500000.0,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    },
    "llama3 without the original length": {
        **LLAMA,
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
    },
    "yarn": {**LARGE, "rope_theta": 1e6, "rope_scaling": {**YARN, "original_max_position_embeddings": 32768}},
    "yarn, small": {**LLAMA, "rope_scaling": {**YARN, "original_max_position_embeddings": 16}},
    "yarn without the original length": {**LLAMA, "rope_scaling": YARN},
    "yarn with the original length at the top": {
        **LLAMA,
        "original_max_position_embeddings": 32,
        "rope_scaling": {**YARN, "original_max_position_embeddings": 64},
    },
    "yarn, no truncation": {**LLAMA, "rope_scaling": {**YARN, "original_max_position_embeddings": 64, "truncate": False}},
    "yarn, betas and attention factor": {
        **LLAMA,
        "rope_scaling": {
            **YARN,
            "original_max_position_embeddings": 64,
            "beta_fast": 16,
            "beta_slow": 0.5,
            "attention_factor": 1.5,
        },
    },
    "yarn, mscale": {
        **LLAMA,
        "rope_scaling": {
            **YARN,
            "factor": 40.0,
            "original_max_position_embeddings": 64,
            "mscale": 1.0,
            "mscale_all_dim": 0.7,
        },
    },
    "yarn, one mscale alone": {
        **LLAMA,
        "rope_scaling": {**YARN, "original_max_position_embeddings": 64, "mscale": 0.7},
    },
    "yarn that shrinks": {**LLAMA, "rope_scaling": {**YARN, "factor": 0.5, "original_max_position_embeddings": 64}},
    "longrope": {**LLAMA, "rope_scaling": {"rope_type": "longrope", **FACTORS, "original_max_position_embeddings": 64}},
    "longrope with a factor": {
        **LLAMA,
        "rope_scaling": {"rope_type": "longrope", **FACTORS, "factor": 32.0, "original_max_position_embeddings": 64},
    },
    "longrope with an attention factor": {
        **LLAMA,
        "rope_scaling": {
            "rope_type": "longrope",
            **FACTORS,
            "attention_factor": 1.25,
            "original_max_position_embeddings": 64,
        },
    },
    "proportional": {
        **LLAMA,
        "rope_parameters": {"rope_type": "proportional", "rope_theta": 10000.0, "partial_rotary_factor": 0.4, "factor": 2.0},
    },
    "phi3": PHI3,
    "phi3, su": {**PHI3, "rope_scaling": {"type": "su", **FACTORS, "original_max_position_embeddings": 4096}},
    "phi3, yarn that means longrope": {**PHI3, "rope_scaling": {"type": "yarn", **FACTORS}},
    "phi3, longrope of a part": {
        **PHI3,
        "partial_rotary_factor": 0.75,
        "rope_scaling": {"type": "longrope", **SIX},
    },
    "phi3, a part that is odd": {**PHI3, "hidden_size": 48, "partial_rotary_factor": 0.25},
    "stablelm": {**LLAMA, "model_type": "stablelm"},
    "stablelm, half": {**LLAMA, "model_type": "stablelm", "partial_rotary_factor": 0.5},
    "smollm3": {**LLAMA, "model_type": "smollm3", "pad_token_id": 0},
}

SMALL = {
    "vocab_size": 41,
    "hidden_size": 32,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
MODELS = {
    "llama, longrope beyond the original length": {
        **SMALL,
        "model_type": "llama",
        "tie_word_embeddings": True,
        "rope_scaling": {
            "rope_type": "longrope",
            "short_factor": [1.0, 1.5, 2.0, 2.5],
            "long_factor": [1.0, 4.0, 8.0, 16.0],
            "original_max_position_embeddings": 8,
        },
    },
    "phi3 with a window and a part of each head": {
        **SMALL,
        "model_type": "phi3",
        "sliding_window": 5,
        "partial_rotary_factor": 0.75,
    },
    "stablelm with biases": {**SMALL, "model_type": "stablelm", "use_qkv_bias": True},
    "mistral with a window in some layers": {
        **SMALL,
        "model_type": "mistral",
        "head_dim": 12,
        "sliding_window": 4,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "smollm3 with a layer without RoPE": {
        **SMALL,
        "model_type": "smollm3",
        "no_rope_layers": [1, 0],
        "attention_bias": True,
        "mlp_bias": True,
    },
    "seed_oss": {**SMALL, "model_type": "seed_oss", "head_dim": 8, "attention_out_bias": True},
}


def rope_case(title, fields):
    # Small besides, so that the model is made at once.
    small = {"vocab_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_key_value_heads": 1}
    small = {**small, "bos_token_id": None, "eos_token_id": None}
    config = config_of({**small, **fields})
    rope = AutoModelForCausalLM.from_config(config).model.rotary_emb
    case = {"title": title, "config": {**small, **fields}, "frequencies": rope.inv_freq.tolist()}
    if rope.rope_type == "longrope":
        original = config.rope_parameters["original_max_position_embeddings"]
        rope(torch.zeros(1), torch.tensor([[original]]))
        case["long"] = {"positions": original + 1, "frequencies": rope.inv_freq.tolist()}
    return {**case, "attention_factor": rope.attention_scaling}


def logits_case(title, fields):
    model = model_of(fields)
    with torch.no_grad():
        logits = model(torch.tensor([IDS])).logits[0]
    tied = model.config.tie_word_embeddings
    shapes = {
        name: list(parameter.shape)
        for name, parameter in model.state_dict().items()
        if not (tied and name == "lm_head.weight")
    }
    rows = [[float(f"{value:.7g}") for value in row] for row in logits[-3:].tolist()]
    assert all(math.isfinite(value) for row in rows for value in row)
    return {"title": title, "config": fields, "shapes": shapes, "logits": rows}


write("rope.json", {"cases": [rope_case(title, fields) for title, fields in ROPES.items()]})
write("logits.json", {"ids": IDS, "cases": [logits_case(title, fields) for title, fields in MODELS.items()]})
