"""Tensors as safetensors files hold them, and the files themselves; bfloat16 included, which numpy lacks."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors

from .errors import BundleError

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class StoredTensor:
    """A tensor with its bytes: little endian, row-major. `dtype` is spelled as safetensors spells it."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    @staticmethod
    def of(values: Any) -> StoredTensor:
        """From a numpy array, a torch tensor or nested lists; float16 stays, all else becomes float32."""
        if hasattr(values, "detach"):  # torch: bfloat16 has no form in numpy
            values = values.detach().cpu()
            values = values.numpy() if str(values.dtype) == "torch.float16" else values.float().numpy()
        array = np.asarray(values)
        if array.dtype != np.float16:
            array = array.astype(np.float32)
        dtype = "F16" if array.dtype == np.float16 else "F32"
        return StoredTensor(dtype, array.shape, np.ascontiguousarray(array).tobytes())

    def float32(self) -> Float32:
        """The values of an F32, F16 or BF16 tensor."""
        if self.dtype == "BF16":
            wide = np.frombuffer(self.data, np.uint16).astype(np.uint32) << 16
            return wide.view(np.float32).reshape(self.shape)
        kind = {"F32": np.float32, "F16": np.float16}[self.dtype]
        return np.frombuffer(self.data, kind).astype(np.float32).reshape(self.shape)


def parse_safetensors(data: bytes, file: str) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """Tensors and metadata of a whole file. Raises `bad_file` if it is damaged."""
    try:
        parts = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (safetensors.SafetensorError, ValueError) as error:
        raise BundleError("bad_file", f"{file}: not a safetensors file: {error}") from error
    tensors = {name: StoredTensor(part["dtype"], tuple(part["shape"]), bytes(part["data"])) for name, part in parts}
    return tensors, header.get("__metadata__") or {}


def write_safetensors(tensors: Mapping[str, StoredTensor], metadata: Mapping[str, str]) -> bytes:
    """The content of a file. Wide dtypes come first, so that every tensor is aligned."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    parts = []
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (-_bytes_per_value(item[1]), item[0])):
        start, end = end, end + len(tensor.data)
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [start, end]}
        parts.append(tensor.data)
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def _bytes_per_value(tensor: StoredTensor) -> float:
    count = math.prod(tensor.shape)
    return len(tensor.data) / count if count > 0 else 0
