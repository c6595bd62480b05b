"""What of a model decides whether a bundle fits it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import BundleError
from .strict_json import show


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a model, named as in a bundle's `base`."""

    model_type: str
    num_layers: int
    hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int

    @property
    def plain_mlp(self) -> bool:
        """GPT-2's MLP has `mlp_pre`; the others are gated and have `gate_pre` and `up`."""
        return self.model_type == "gpt2"

    def base(self) -> dict[str, Any]:
        """The `base` of a manifest."""
        return {name: getattr(self, name) for name in FIELDS}

    @staticmethod
    def of(model: Any) -> ModelShape:
        """The shape of a transformers model or configuration, a folder with a config.json, its path, or its content."""
        if isinstance(model, ModelShape):
            return model
        if isinstance(model, (str, Path)):
            path = Path(model)
            return ModelShape.of(json.loads((path / "config.json" if path.is_dir() else path).read_text("utf-8")))
        config = model if isinstance(model, dict) else getattr(model, "config", model)
        if not isinstance(config, dict):
            if not hasattr(config, "to_dict"):
                raise BundleError("usage", f"{show(config)} is not a model, configuration, folder or ModelShape")
            config = config.to_dict()
        return _of_config(config)


FIELDS = tuple(ModelShape.__dataclass_fields__)


def _of_config(config: dict[str, Any]) -> ModelShape:
    def read(*names: str) -> Any:
        return next((config[name] for name in names if config.get(name) is not None), None)

    width = read("hidden_size", "n_embd")
    heads = read("num_attention_heads", "n_head")
    layers = read("num_hidden_layers", "n_layer")
    if config.get("model_type") is None or None in (width, heads, layers, config.get("vocab_size")):
        raise BundleError(
            "usage", "This configuration lacks model_type, vocab_size or the numbers of layers, heads or widths"
        )
    return ModelShape(
        model_type=config["model_type"],
        num_layers=layers,
        hidden_size=width,
        num_heads=heads,
        num_kv_heads=read("num_key_value_heads") or heads,
        head_dim=read("head_dim") or width // heads,
        intermediate_size=read("intermediate_size", "n_inner") or 4 * width,
        vocab_size=config["vocab_size"],
    )
