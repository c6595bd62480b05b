"""Models as GGUF files, and the logits that transformers computes from gguf-py's numbers."""
import json
import os
import tempfile
import warnings

import gguf
import numpy as np
import torch
import transformers
from gguf import GGMLQuantizationType as Type
from output import OUT
from stored_numbers import numbers, random, random_matrix
from transformers import AutoConfig, AutoModelForCausalLM

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()


def permuted(data, heads):
    """The rows of query and key heads as convert_hf_to_gguf.py orders them: the halves of each head in turns."""
    rows = data.shape[0]
    return data.reshape(heads, 2, rows // heads // 2, *data.shape[1:]).swapaxes(1, 2).reshape(data.shape)


def llama_names(layers, biases=()):
    names = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
    parts = {
        "attn_norm": "input_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_norm": "post_attention_layernorm",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    for layer in range(layers):
        for ours, theirs in parts.items():
            names[f"blk.{layer}.{ours}.weight"] = f"model.layers.{layer}.{theirs}.weight"
            if ours in biases:
                names[f"blk.{layer}.{ours}.bias"] = f"model.layers.{layer}.{theirs}.bias"
    return names


def gpt2_names(layers):
    names = {"token_embd.weight": "transformer.wte.weight", "position_embd.weight": "transformer.wpe.weight"}
    parts = {
        "attn_norm": "ln_1",
        "attn_qkv": "attn.c_attn",
        "attn_output": "attn.c_proj",
        "ffn_norm": "ln_2",
        "ffn_up": "mlp.c_fc",
        "ffn_down": "mlp.c_proj",
    }
    for suffix in ("weight", "bias"):
        names[f"output_norm.{suffix}"] = f"transformer.ln_f.{suffix}"
        for layer in range(layers):
            for ours, theirs in parts.items():
                names[f"blk.{layer}.{ours}.{suffix}"] = f"transformer.h.{layer}.{theirs}.{suffix}"
    return names


def model_of(config):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "config.json"), "w") as file:
            json.dump(config, file)
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).double().eval()


def logits_of(config, weights, ids):
    model = model_of(config)
    missing, unexpected = model.load_state_dict({name: each.double() for name, each in weights.items()}, strict=False)
    tied = {"lm_head.weight"} if config["tie_word_embeddings"] else set()
    assert set(missing) <= tied and not unexpected, (missing, unexpected)
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].float().numpy()


def metadata(writer, arch, config):
    gpt2 = arch == "gpt2"
    writer.add_context_length(config["n_positions" if gpt2 else "max_position_embeddings"])
    writer.add_embedding_length(config["n_embd" if gpt2 else "hidden_size"])
    writer.add_feed_forward_length(config["n_inner" if gpt2 else "intermediate_size"])
    writer.add_block_count(config["n_layer" if gpt2 else "num_hidden_layers"])
    writer.add_head_count(config["n_head" if gpt2 else "num_attention_heads"])
    if gpt2:
        writer.add_layer_norm_eps(config["layer_norm_epsilon"])
        return
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    width = config.get("head_dim", config["hidden_size"] // config["num_attention_heads"])
    writer.add_rope_dimension_count(width)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_vocab_size(config["vocab_size"])


def close(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def random_model(arch, config, types, layers, names):
    """Stored tensors by ggml's names with their types, and the numbers they stand for by Hugging Face's."""
    shapes = {name: tuple(each.shape) for name, each in model_of(config).state_dict().items()}
    stored, weights = {}, {}
    for ours, theirs in names.items():
        shape = shapes[theirs]
        part = ours.split(".")[-2]
        conv1d = arch == "gpt2" and "embd" not in part
        if len(shape) == 1:
            gain = ours.endswith("norm.weight")
            kind, data = Type.F32, random.normal(1 if gain else 0, 0.2, shape).astype(np.float32)
        else:
            kind = types[part]
            outputs, inputs = shape[::-1] if conv1d else shape
            data = random_matrix(kind, outputs, inputs, 0.2 if "embd" in part else 1.2 / np.sqrt(inputs))
        stored[ours] = (kind, data)
        values = numbers(data, kind)
        if arch == "llama" and part in ("attn_q", "attn_k"):
            # The file's rows are permuted: what a folder holds is their inverse.
            heads = config["num_attention_heads" if part == "attn_q" else "num_key_value_heads"]
            order = permuted(np.arange(shape[0]), heads)
            folder = torch.empty_like(values)
            folder[order] = values
            values = folder
        if len(shape) == 2 and conv1d:
            values = values.T
        weights[theirs] = values.contiguous()
    return stored, weights


def write_model(file, arch, config, stored, tokenizer, parts=1, file_type=None):
    made = [gguf.GGUFWriter(path, arch) for path in part_paths(file, parts)]
    first = made[0]
    first.add_name(file)
    if file_type is not None:
        first.add_file_type(file_type)
    metadata(first, arch, config)
    tokenizer(first)
    entries = list(stored.items())
    share = -(-len(entries) // parts)
    for number, writer in enumerate(made):
        if parts > 1:
            writer.add_uint16("split.no", number)
            writer.add_uint16("split.count", parts)
            writer.add_int32("split.tensors.count", len(entries))
        for name, (kind, data) in entries[number * share : (number + 1) * share]:
            writer.add_tensor(name, data, raw_dtype=kind)
        close(writer)


def part_paths(file, parts):
    if parts == 1:
        return [os.path.join(OUT, f"{file}.gguf")]
    return [os.path.join(OUT, f"{file}-{i + 1:05d}-of-{parts:05d}.gguf") for i in range(parts)]
