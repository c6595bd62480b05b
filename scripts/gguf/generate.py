"""Writes test/data/gguf/: GGUF files as llama.cpp's tools write them, and what other programs make of them.

    python scripts/gguf/generate.py      (needs gguf, torch and transformers; the versions are written into the files)

blocks.json       random blocks of every quantised type, and the numbers that gguf-py dequantises them to
tokenizers.json   a small byte-level BPE under every name of a pre-tokenizer, and the ids that the Rust library gives
*.gguf            tiny models, each matrix in another type; one with real weights; one in two parts
models.json       for each: config.json, and the logits that transformers computes in float64 from gguf-py's numbers
"""
import base64
import os

import gguf
import numpy as np
from byte_level import byte_level_bpe, byte_level_tokenizers
from gguf import GGMLQuantizationType as Type
from output import OUT, floats, write_json
from stored_numbers import random_block
from tiny_models import stories, tiny_gpt2, tiny_llama, tiny_qwen2

QUANTIZED = [Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q4_K, Type.Q5_K, Type.Q6_K]


def blocks():
    made = {}
    for kind in QUANTIZED:
        raw = b"".join(random_block(kind, 1.0) for _ in range(4))
        values = gguf.quants.dequantize(np.frombuffer(raw, np.uint8), kind)
        made[kind.name] = {"blocks": base64.b64encode(raw).decode(), "numbers": floats(values)}
    write_json("blocks.json", {"types": made})


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
