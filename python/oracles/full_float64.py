"""transformers in float64 throughout.

A float64 model of transformers computes some parts in float32: the norms and rotary angles of Llama's families, and
softmax in eager attention. They ask torch for float32 by name; in this context that name stands for float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from transformers import AutoModelForCausalLM


@contextmanager
def full_float64() -> Iterator[None]:
    """Everything that asks for float32 computes in float64."""
    with (
        patch.object(torch, "float32", torch.float64),
        patch.object(torch, "float", torch.float64),
        patch.object(torch.Tensor, "float", torch.Tensor.double),
    ):
        yield


def load(folder: Path, tensors: dict[str, torch.Tensor] | None = None) -> Any:
    """A folder's model in float64, with rotary frequencies in float64; `tensors` in place of its weights."""
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float64, attn_implementation="eager", **({} if tensors is None else {"state_dict": tensors})
    ).eval()
    rope = getattr(model.base_model, "rotary_emb", None)
    if rope is not None:
        with full_float64():
            model.base_model.rotary_emb = type(rope)(config=model.config)
    return model
