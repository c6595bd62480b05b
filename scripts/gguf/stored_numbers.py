"""Random numbers in each of ggml's types, as stored and as gguf-py dequantises them."""
import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type

# One sequence of random numbers for all fixtures: the order in which they are made is part of them.
random = np.random.default_rng(20261129)


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
