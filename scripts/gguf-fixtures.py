"""Writes test/data/gguf/: GGUF files as llama.cpp's tools write them, and what other programs make of them.

    python scripts/gguf-fixtures.py      (needs gguf, torch and transformers; the versions are written into the files)

blocks.json       random blocks of every quantised type, and the numbers that gguf-py dequantises them to
tokenizers.json   a small byte-level BPE under every name of a pre-tokenizer, and the ids that the Rust library gives
*.gguf            tiny models, each matrix in another type; one with real weights; one in two parts
models.json       for each: config.json, and the logits that transformers computes in float64 from gguf-py's numbers
"""
import base64
import importlib.metadata
import json
import os
import tempfile
import warnings

import gguf
import numpy as np
import tokenizers
import torch
import transformers
from gguf import GGMLQuantizationType as Type
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()
ROOT = os.path.join(os.path.dirname(__file__), "..")
OUT = os.path.join(ROOT, "test", "data", "gguf")
VERSIONS = {
    "gguf": importlib.metadata.version("gguf"),
    "tokenizers": tokenizers.__version__,
    "torch": torch.__version__,
    "transformers": transformers.__version__,
}
random = np.random.default_rng(20261129)
IDS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]


def half(value):
    return np.float16(value).tobytes()


def random_block(kind, scale):
    """One block whose numbers have about this standard deviation."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    raw = bytearray(random.integers(0, 256, size, dtype=np.uint8).tobytes())
    spread = float(random.uniform(0.5, 1.5)) * scale
    if kind == Type.Q8_0:
        raw[0:2] = half(spread / 74)
    elif kind in (Type.Q4_0, Type.Q5_0):
        raw[0:2] = half(spread / (4.6 if kind == Type.Q4_0 else 9.2))
    elif kind in (Type.Q4_1, Type.Q5_1):
        step = spread / (4.6 if kind == Type.Q4_1 else 9.2)
        raw[0:4] = half(step) + half(-step * (7.5 if kind == Type.Q4_1 else 15.5))
    elif kind in (Type.Q4_K, Type.Q5_K):
        step = spread / (31 * (4.6 if kind == Type.Q4_K else 9.2))
        raw[0:4] = half(step) + half(step * (7.5 if kind == Type.Q4_K else 15.5))
    elif kind == Type.Q6_K:
        raw[208:210] = half(spread / (74 * 18.5))
    return bytes(raw)


def random_matrix(kind, outputs, inputs, scale):
    """Stored bytes, as gguf-py's writer takes them."""
    if kind == Type.F32:
        return random.normal(0, scale, (outputs, inputs)).astype(np.float32)
    if kind == Type.F16:
        return random.normal(0, scale, (outputs, inputs)).astype(np.float16)
    if kind == Type.BF16:
        return gguf.quants.quantize(random.normal(0, scale, (outputs, inputs)).astype(np.float32), kind)
    block, _ = gguf.GGML_QUANT_SIZES[kind]
    raw = b"".join(random_block(kind, scale) for _ in range(outputs * inputs // block))
    return np.frombuffer(raw, np.uint8).reshape(outputs, -1)


def numbers(data, kind):
    return torch.tensor(np.ascontiguousarray(gguf.quants.dequantize(data, kind)).astype(np.float32))


def write_json(name, data):
    with open(os.path.join(OUT, name), "w") as file:
        file.write(json.dumps({"made_with": VERSIONS, **data}, separators=(",", ":"), ensure_ascii=False))
        file.write("\n")


def floats(values):
    return base64.b64encode(np.asarray(values, np.float32).tobytes()).decode()


# Blocks

QUANTIZED = [Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q4_K, Type.Q5_K, Type.Q6_K]


def blocks():
    made = {}
    for kind in QUANTIZED:
        raw = b"".join(random_block(kind, 1.0) for _ in range(4))
        values = gguf.quants.dequantize(np.frombuffer(raw, np.uint8), kind)
        made[kind.name] = {"blocks": base64.b64encode(raw).decode(), "numbers": floats(values)}
    write_json("blocks.json", {"types": made})


# Tokenizers

TEXTS = [
    "Hello, world!",
    "  two spaces, a\ttab\n\nand  lines \r\n",
    "I'm sure they'LL say it's 1234567890 o'clock, DON'T you?",
    "Größe über naïve cafés — 北京大学 漢字かな交じり文 한국어",
    "x = foo_bar[42] ** 3.14; // comment <|end|> https://a.b/c?d=e&f",
    "CamelCaseWords andHTMLParser IPv6 ΑΒΓαβγ Привет",
    "\u00a0odd\u2009spaces\u3000here 🙂👍🏽 e\u0301 café",
    "As <|begin|>user<|end|>\nHi there<|end|>  <tool>",
    "１２３ Ⅷ ½ ٣٤٥ 12,345.67",
    "",
    " ",
]
SPECIAL = ["<|begin|>", "<|end|>"]
USER = ["<tool>"]
SPLIT = {
    "llama": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "tekken": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "o200k": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}


def regexes(*patterns):
    steps = [pre_tokenizers.Split(tokenizers.Regex(each), "isolated") for each in patterns]
    return pre_tokenizers.Sequence([*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def pre_tokenizer_kinds():
    """By llama.cpp's names: pre-tokenizer, normalizer, ignore_merges, whether BOS is added, as published tokenizer.json files have them."""
    from tokenizers.normalizers import NFC

    digits = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return {
        "gpt-2": (pre_tokenizers.ByteLevel(add_prefix_space=False), None, False, False),
        "llama-bpe": (regexes(SPLIT["llama"]), None, True, True),
        "qwen2": (regexes(SPLIT["qwen"]), NFC(), False, False),
        "smollm": (digits, None, False, False),
        "tekken": (regexes(SPLIT["tekken"]), None, True, True),
        "gpt-4o": (regexes(SPLIT["o200k"]), None, False, False),
        "deepseek-coder": (
            regexes(r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}"),
            None,
            False,
            False,
        ),
        "deepseek-llm": (
            regexes(
                r"[\r\n]",
                "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+",
                r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
                r"\s+$",
                "[一-龥ࠀ-一가-퟿]+",
                r"\p{N}+",
            ),
            None,
            False,
            False,
        ),
        "deepseek-v3": (
            regexes(
                r"\p{N}{1,3}",
                "[一-龥぀-ゟ゠-ヿ]+",
                r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            ),
            None,
            False,
            False,
        ),
        # Not a published tokenizer.json: what llama.cpp does.
        "default": (
            regexes(
                r"[\p{P}\$\+<=>\^~\|]+",
                r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
                r"\p{N}+",
                "[0-9][0-9][0-9]",
            ),
            None,
            False,
            False,
        ),
    }


def byte_level_bpe():
    """Trained on whole texts, so that its merges cross what pre-tokenizers cut."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = regexes(r".{1,12}")
    trainer = trainers.BpeTrainer(
        vocab_size=800, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    trained.train_from_iterator([text for text in TEXTS for _ in range(3)], trainer)
    state = json.loads(trained.to_str())["model"]
    vocab = {**state["vocab"]}
    for text in [*SPECIAL, *USER]:
        vocab.setdefault(text, len(vocab))
    return vocab, [tuple(pair) for pair in state["merges"]]


def tokenizer_of(vocab, merges, kind):
    steps, normalizer, ignore, add_bos = kind
    made = Tokenizer(models.BPE(vocab, merges, ignore_merges=ignore))
    made.pre_tokenizer = steps
    made.decoder = decoders.ByteLevel()
    if normalizer:
        made.normalizer = normalizer
    made.add_tokens([AddedToken(text, normalized=False) for text in USER])
    made.add_special_tokens([AddedToken(text, normalized=False) for text in SPECIAL])
    if add_bos:
        made.post_processor = tokenizers.processors.TemplateProcessing(
            single="<|begin|> $A", special_tokens=[("<|begin|>", vocab["<|begin|>"])]
        )
    return made


def token_types(vocab):
    types = [gguf.TokenType.NORMAL] * len(vocab)
    for text in SPECIAL:
        types[vocab[text]] = gguf.TokenType.CONTROL
    for text in USER:
        types[vocab[text]] = gguf.TokenType.USER_DEFINED
    return [int(each) for each in types]


def byte_level_tokenizers():
    vocab, merges = byte_level_bpe()
    kinds = {}
    for name, kind in pre_tokenizer_kinds().items():
        made = tokenizer_of(vocab, merges, kind)
        encoded = [made.encode(text).ids for text in TEXTS]
        kinds[name] = {"ids": encoded, "decoded": [made.decode(ids, skip_special_tokens=True) for ids in encoded]}
    tokens = [text for text, _ in sorted(vocab.items(), key=lambda entry: entry[1])]
    write_json(
        "tokenizers.json",
        {
            "tokens": tokens,
            "token_type": token_types(vocab),
            "merges": [" ".join(pair) for pair in merges],
            "bos": vocab["<|begin|>"],
            "eos": vocab["<|end|>"],
            "texts": TEXTS,
            "kinds": kinds,
        },
    )


# Models


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


TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{{ eos_token }}{% endfor %}"


def add_byte_level(writer, vocab, merges, pre, bos="<|begin|>"):
    tokens = [text for text, _ in sorted(vocab.items(), key=lambda entry: entry[1])]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(token_types(vocab))
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(vocab[bos])
    writer.add_eos_token_id(vocab["<|end|>"])
    writer.add_chat_template(TEMPLATE)


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
    from safetensors.numpy import load_file

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


def main():
    os.makedirs(OUT, exist_ok=True)
    blocks()
    byte_level_tokenizers()
    vocab, merges = byte_level_bpe()
    made = {
        "llama": tiny_llama(vocab, merges),
        "qwen2": tiny_qwen2(vocab, merges),
        "gpt2-00001-of-00002": tiny_gpt2(vocab, merges),
        "stories260K-Q8_0": stories(),
    }
    write_json("models.json", {"models": made})


if __name__ == "__main__":
    main()
