"""Files of every kind that `sluice bundle import` reads, for models as wide as they are.

Those of `test/data` are other projects' own or in their layouts; the rest is written here, by torch and numpy.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from sluice_bundles import ModelShape

_DATA = Path(__file__).parents[2] / "test" / "data"
_FOREIGN = _DATA / "foreign"


def write_foreign(out: Path, shape: ModelShape) -> None:
    """Writes a folder per import, and imports.json: what is given to the importer."""
    writer = _Writer(out, shape)
    {96: _stories, 4096: _wide, 3072: _phi3, 1536: _qwen}[shape.hidden_size](writer)
    (out / "imports.json").write_text(json.dumps(writer.imports))


class _Writer:
    def __init__(self, out: Path, shape: ModelShape) -> None:
        self.out, self.shape = out, shape
        self.rng = np.random.default_rng(shape.hidden_size)
        self.imports: list[dict[str, Any]] = []

    def vector(self, deviation: float = 0.15) -> np.ndarray:
        return self.rng.normal(0, deviation, self.shape.hidden_size).astype(np.float32)

    def add(self, title: str, *sources: Path, **options: Any) -> Path:
        """A folder with copies of files; more can be written into it. @returns the folder"""
        folder = self.out / str(len(self.imports))
        folder.mkdir(parents=True)
        for source in sources:
            shutil.copy(source, folder / source.name)
        self.imports.append({"title": title, "folder": folder.name, "options": options})
        return folder


def _stories(writer: _Writer) -> None:
    width, layers = writer.shape.hidden_size, writer.shape.num_layers
    writer.add("EAP-IG", _FOREIGN / "eap-ig-layout-gpt2-stories.json")
    writer.add("Edge-Pruning", _FOREIGN / "edge-pruning-layout-gpt2-stories.json")
    writer.add("ACDC", _FOREIGN / "acdc-tuples-as-json.json")
    writer.add("activation-steering", _FOREIGN / "ibm-layout.svec")
    writer.add("ml-aura", *(_FOREIGN / f"aura-layout-transformer.h.{layer}.mlp.c_proj.statedict" for layer in (0, 1)))
    for options in ({}, {"as": "addition", "scale": -1}):
        folder = writer.add("refusal_direction", **options)
        # As that project saves it: a view into a larger tensor in float64.
        whole = torch.from_numpy(np.stack([writer.vector() for _ in range(5)])).double()
        torch.save(whole[2], folder / "direction.pt")
        (folder / "direction_metadata.json").write_text('{"pos": -2, "layer": 2}')
    caa = writer.add("CAA")
    for layer in (1, 2):
        torch.save(torch.from_numpy(writer.vector()), caa / f"vec_layer_{layer}_model.pt")
    for method in ("addition", "ablation", "ace", "clamp"):
        folder = writer.add("bare vector, .npy", layers=[1, 3], scale=0.5, **{"as": method})
        if method == "ablation":
            writer.imports[-1]["options"].pop("scale")
        np.save(folder / "vector.npy", writer.vector())
    np.savez(writer.add("bare vectors, .npz") / "v.npz", **{str(layer): writer.vector() for layer in (0, 2)})
    save_file({"1": writer.vector()}, writer.add("bare vectors, .safetensors") / "v.safetensors")
    _steering_vector(writer.add("steering-vectors") / "vector.pt", {1: writer.vector(), 2: writer.vector()})
    for method, strength in (("SIMPLE_ADDITIVE", 2), ("ORTHOGONAL_DECOMP", 0.25), ("PROJECTION_CAP", 0.5)):
        body = {"steering_vector": writer.vector().tolist(), "strength": strength, "method": method}
        file = writer.add("Neuronpedia") / "vector.json"
        file.write_text(json.dumps({**body, "hook": "blocks.2.hook_resid_post"}))
    rows = [f"{layer},{neuron},{writer.rng.normal():.4f}" for layer in range(layers) for neuron in (0, 5, 100)]
    file = writer.add("neuron values, CSV") / "values.csv"
    file.write_text("\n".join(["layer_idx,neuron_idx,assigned_value", *rows]) + "\n")
    for options in ({"feature": 3}, {"feature": 3, "as": "clamp", "scale": 2}):
        folder = writer.add("SAELens", **options)
        config = {"hook_name": "blocks.1.hook_resid_pre", "architecture": "standard", "d_in": width, "d_sae": 8}
        (folder / "cfg.json").write_text(json.dumps(config))
        encoder, decoder = (np.stack([writer.vector() for _ in range(8)]) for _ in range(2))
        weights = {"W_enc": np.ascontiguousarray(encoder.T), "W_dec": decoder}
        save_file(
            {**weights, "b_enc": np.ones(8, np.float32), "b_dec": writer.vector()}, folder / "sae_weights.safetensors"
        )


def _wide(writer: _Writer) -> None:
    writer.add("control vector", _DATA / "control-vectors" / "create.gguf", scale=0.2)
    writer.add("control vector", _DATA / "control-vectors" / "reason.gguf", numbering=1, layers=list(range(31)))
    writer.add("BiPO", _FOREIGN / "easysteer-bipo-vec_ep20_layer15.pt")
    for method in ("addition", "ablation", "ace", "clamp"):
        options = {} if method == "ablation" else {"scale": 0.5}
        writer.add(
            "EasySteer, float16", _FOREIGN / "easysteer-sharp-f16.pt", layers=[3, 4], **{"as": method}, **options
        )


def _phi3(writer: _Writer) -> None:
    hook = "ibm-vllm-hook-phi3_format"
    writer.add("vLLM-Hook", _FOREIGN / f"{hook}.pt", _FOREIGN / f"{hook}.config.json")


def _qwen(writer: _Writer) -> None:
    real = _FOREIGN / "pyreft-loreft-qwen2.5-1.5b"
    files = sorted(real.iterdir())
    writer.add("pyreft, LoReFT", *files)


def _steering_vector(file: Path, layers: dict[int, np.ndarray]) -> None:
    """As the package steering-vectors pickles its dataclass, which need not be installed."""
    module = ModuleType("steering_vectors.steering_vector")
    vector = type("SteeringVector", (), {"__module__": module.__name__})
    module.SteeringVector = vector  # type: ignore[attr-defined]
    sys.modules.update({"steering_vectors": ModuleType("steering_vectors"), module.__name__: module})
    made = vector()
    made.layer_activations = OrderedDict((layer, torch.from_numpy(row)) for layer, row in layers.items())
    made.layer_type = "decoder_block"
    torch.save(made, file)
    for name in ("steering_vectors", module.__name__):
        del sys.modules[name]
