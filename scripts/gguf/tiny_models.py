"""The models: three tiny ones, each matrix in another type, and stories260K in 8 bits."""
import json
import os

import gguf
import numpy as np
import torch
from byte_level import add_byte_level
from gguf import GGMLQuantizationType as Type
from model_files import gpt2_names, llama_names, logits_of, permuted, random_model, write_model
from output import ROOT, floats
from safetensors.numpy import load_file
from stored_numbers import numbers

IDS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]


def llama3_factors(config):
    scaling = config["rope_scaling"]
    dim = config["hidden_size"] // config["num_attention_heads"]
    factor, low, high = scaling["factor"], scaling["low_freq_factor"], scaling["high_freq_factor"]
    original = scaling["original_max_position_embeddings"]
    factors = []
    for i in range(0, dim, 2):
        wavelength = 2 * np.pi * config["rope_theta"] ** (i / dim)
        if wavelength < original / high:
            factors.append(1.0)
        elif wavelength > original / low:
            factors.append(factor)
        else:
            smooth = (original / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(factors, np.float32)


def tiny_llama(vocab, merges):
    """A Llama with one type per matrix, Llama 3's rotary scaling, an untied head, and rows without tokens."""
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 256,
        "intermediate_size": 256,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-05,
        "rope_theta": 500000.0,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "vocab_size": len(vocab) + 5,
        "bos_token_id": vocab["<|begin|>"],
        "eos_token_id": vocab["<|end|>"],
    }
    types = {
        "token_embd": Type.Q4_K,
        "output": Type.Q6_K,
        "attn_q": Type.Q4_K,
        "attn_k": Type.Q5_K,
        "attn_v": Type.Q6_K,
        "attn_output": Type.Q8_0,
        "ffn_gate": Type.Q4_0,
        "ffn_up": Type.Q4_0,
        "ffn_down": Type.Q5_1,
    }
    names = {**llama_names(1), "output.weight": "lm_head.weight"}
    stored, weights = random_model("llama", config, types, 1, names)
    stored = {"rope_freqs.weight": (Type.F32, llama3_factors(config)), **stored}
    write_model(
        "llama",
        "llama",
        config,
        stored,
        lambda writer: add_byte_level(writer, vocab, merges, "llama-bpe"),
        file_type=int(gguf.LlamaFileType.MOSTLY_Q4_K_M),
    )
    return {"config": config, "logits": floats(logits_of(config, weights, IDS)), "ids": IDS}


def tiny_qwen2(vocab, merges):
    """A Qwen2 with biases, YaRN and a tied head."""
    config = {
        "model_type": "qwen2",
        "architectures": ["Qwen2ForCausalLM"],
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-06,
        "rope_theta": 10000.0,
        "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "vocab_size": len(vocab),
        "bos_token_id": vocab["<|begin|>"],
        "eos_token_id": vocab["<|end|>"],
    }
    types = {
        "token_embd": Type.Q8_0,
        "attn_q": Type.Q5_0,
        "attn_k": Type.Q5_0,
        "attn_v": Type.Q4_1,
        "attn_output": Type.Q4_1,
        "ffn_gate": Type.Q4_0,
        "ffn_up": Type.Q8_0,
        "ffn_down": Type.BF16,
    }
    stored, weights = random_model("qwen2", config, types, 2, llama_names(2, ("attn_q", "attn_k", "attn_v")))

    def more(writer):
        add_byte_level(writer, vocab, merges, "qwen2")
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(4.0)
        writer.add_rope_scaling_orig_ctx_len(64)
        writer.add_add_bos_token(False)

    write_model("qwen2", "qwen2", config, stored, more)
    return {"config": config, "logits": floats(logits_of(config, weights, IDS)), "ids": IDS}


def tiny_gpt2(vocab, merges):
    """A GPT-2 in two files."""
    config = {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "n_embd": 96,
        "n_head": 4,
        "n_layer": 2,
        "n_inner": 384,
        "n_positions": 64,
        "layer_norm_epsilon": 1e-05,
        "activation_function": "gelu_new",
        "tie_word_embeddings": True,
        "vocab_size": len(vocab),
        "bos_token_id": vocab["<|end|>"],
        "eos_token_id": vocab["<|end|>"],
    }
    types = {
        "token_embd": Type.Q5_1,
        "position_embd": Type.F32,
        "attn_qkv": Type.Q4_0,
        "attn_output": Type.F16,
        "ffn_up": Type.Q5_0,
        "ffn_down": Type.Q4_1,
    }
    stored, weights = random_model("gpt2", config, types, 2, gpt2_names(2))

    write_model(
        "gpt2",
        "gpt2",
        config,
        stored,
        lambda writer: add_byte_level(writer, vocab, merges, "gpt-2", bos="<|end|>"),
        parts=2,
    )
    return {"config": config, "logits": floats(logits_of(config, weights, IDS)), "ids": IDS}


def stories():
    """The weights of stories260K, quantised as llama-quantize does with Q8_0, and its tokenizer as SentencePiece with scores."""
    folder = os.path.join(ROOT, "weights", "stories260K")
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    with open(os.path.join(folder, "tokenizer.json")) as file:
        tokenizer = json.load(file)["model"]
    tensors = load_file(os.path.join(folder, "model.safetensors"))
    stored, weights = {}, {}
    for ours, theirs in llama_names(config["num_hidden_layers"]).items():
        data = tensors[theirs].astype(np.float32)
        kind = Type.F32 if data.ndim == 1 else Type.Q8_0 if data.shape[1] % 32 == 0 else Type.F16
        exact = numbers(gguf.quants.quantize(data, kind), kind) if kind == Type.Q8_0 else torch.tensor(data.astype(np.float16 if kind == Type.F16 else np.float32)).float()
        part = ours.split(".")[-2]
        if part in ("attn_q", "attn_k"):
            data = permuted(data, config["num_attention_heads" if part == "attn_q" else "num_key_value_heads"])
        stored[ours] = (kind, gguf.quants.quantize(data, kind) if kind != Type.F32 else data)
        weights[theirs] = exact
    tokens = [text for text, _ in sorted(tokenizer["vocab"].items(), key=lambda entry: entry[1])]
    ranks = {"".join(pair if isinstance(pair, list) else pair.split(" ")): -float(rank) for rank, pair in reversed(list(enumerate(tokenizer["merges"])))}
    types, scores = [], []
    for token in tokens:
        is_byte = token.startswith("<0x") and len(token) == 6
        special = {"<unk>": gguf.TokenType.UNKNOWN, "<s>": gguf.TokenType.CONTROL, "</s>": gguf.TokenType.CONTROL}
        types.append(int(gguf.TokenType.BYTE if is_byte else special.get(token, gguf.TokenType.NORMAL)))
        scores.append(ranks.get(token, -1000.0))

    def more(writer):
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list(tokens)
        writer.add_token_scores(scores)
        writer.add_token_types(types)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_unk_token_id(0)
        writer.add_add_bos_token(True)
        writer.add_add_eos_token(False)

    write_model("stories260K-Q8_0", "llama", config, stored, more, file_type=int(gguf.LlamaFileType.MOSTLY_Q8_0))
    ids = [1, *IDS]
    return {"config": config, "logits": floats(logits_of(config, weights, ids)), "ids": ids}
