"""Quantised folders as float tensors, read from what the formats say and from nothing of the engine.

q8 and q4 (docs/quantization.md): U8 `[outputs, blocks, 34 or 18]`, a block of 32 inputs being a float16 scale, then
signed bytes, or signed 4-bit numbers with the earlier in the lower half. MLX: U32 codes, the earliest in the lowest
bits, times `scales` plus `biases` per group of inputs. Outputs come first; GPT-2's Conv1D stores them last.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

Tensors = dict[str, torch.Tensor]


def dequantized(folder: Path, like: Tensors) -> Tensors:
    """The tensors of a quantised folder in float64, named and shaped as in `like`, the model's state."""
    stored = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    bits = config.get("quantization", {}).get("bits") if isinstance(config.get("quantization"), dict) else None
    found: Tensors = {}
    for name, tensor in stored.items():
        base = name.removesuffix(".weight")
        quantized = tensor.dtype == torch.uint8 or (name.endswith(".weight") and f"{base}.scales" in stored)
        if name.endswith((".scales", ".biases")):
            continue
        if tensor.dtype == torch.uint8:
            values = _blocks(tensor)
        elif quantized:
            values = _mlx(tensor, stored[f"{base}.scales"], stored[f"{base}.biases"], int(bits or 4))
        else:
            values = tensor.double()
        conv1d = quantized and config["model_type"] == "gpt2" and _bare(name).startswith("h.")
        found[_bare(name)] = values.T if conv1d else values
    tied = next(found[name] for name in ("wte.weight", "embed_tokens.weight") if name in found)
    found.setdefault("lm_head.weight", tied)
    # The last block of an output may be padded.
    return {name: found[_bare(name)][tuple(map(slice, tensor.shape))].contiguous() for name, tensor in like.items()}


def _bare(name: str) -> str:
    return name.removeprefix("transformer.").removeprefix("model.")


def _blocks(tensor: torch.Tensor) -> torch.Tensor:
    raw = tensor.numpy()
    scales = np.ascontiguousarray(raw[..., :2]).view(np.float16).astype(np.float64)
    codes = raw[..., 2:]
    if codes.shape[-1] == 16:
        codes = np.stack([codes & 15, codes >> 4], -1).reshape(*codes.shape[:-1], 32)
        signed = ((codes.astype(np.int16) ^ 8) - 8).astype(np.float64)
    else:
        signed = np.ascontiguousarray(codes).view(np.int8).astype(np.float64)
    return torch.from_numpy((signed * scales).reshape(raw.shape[0], -1))


def _mlx(codes: torch.Tensor, scales: torch.Tensor, biases: torch.Tensor, bits: int) -> torch.Tensor:
    words = codes.numpy().astype(np.uint32)
    shifts = np.arange(0, 32, bits, dtype=np.uint32)
    values = ((words[..., None] >> shifts) & (2**bits - 1)).reshape(words.shape[0], scales.shape[-1], -1)
    made = values * scales.double().numpy()[..., None] + biases.double().numpy()[..., None]
    return torch.from_numpy(made.reshape(words.shape[0], -1))
