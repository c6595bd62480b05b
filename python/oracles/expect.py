"""Step 3 of the matrix: what transformers computes of every case in float64, and of the baked folders.

    python expect.py FOLDER WEIGHTS

Writes FOLDER/NAME/expected.safetensors with `ID` (logits) and `ID/SITE`, and FOLDER/python.json: versions, what of the
baked folders differs in transformers itself, and how much transformers' float32 parts move the logits.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import safetensors
import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from dequantize import dequantized
from full_float64 import full_float64, load
from sluice_bundles import Bundle, apply


def main(out: Path, weights: Path) -> None:
    report: dict[str, Any] = {
        "versions": {
            "Python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
            "safetensors": safetensors.__version__,
        },
        "baked": [],
        "float32_parts": [],
    }
    for listed in json.loads((out / "models.json").read_text()):
        place = out / listed["name"]
        plain = weights / listed["name"] if listed["given"] else place / "model"
        model = load(plain)
        expected: dict[str, torch.Tensor] = {}
        for case in json.loads((place / "cases.json").read_text()):
            if "as" in case:
                continue
            quantized = case["model"] in ("q8", "q4", "mlx4")
            with _weights_of(place / case["model"], model) if quantized else nullcontext():
                expected.update(run(model, case, place))
        save_file(expected, place / "expected.safetensors")
        if (place / "baked").exists():
            report["baked"].append(_compare_baked(listed["name"], place, expected))
        if not listed["imports"]:
            report["float32_parts"].append(_float32_parts(listed["name"], plain, place, expected))
    (out / "python.json").write_text(json.dumps(report))


def run(model: Any, case: dict[str, Any], place: Path) -> dict[str, torch.Tensor]:
    """Logits `[tokens, vocabulary]` of a case and the sites it asks for."""
    bundles = [Bundle.read(place / case["bundle"])] if case["bundle"] else []
    sites = [site for site in case["captures"] if not site.startswith("attn_pattern")]
    patterns = [site for site in case["captures"] if site.startswith("attn_pattern")]
    ids = torch.tensor([case["tokens"]])
    settings = {"positions": case["positions"], "prompt_length": case["prompt_length"], "capture": sites}
    with torch.no_grad(), full_float64(), apply(model, bundles, **settings) as live:
        result = model(ids, use_cache=False, output_attentions=bool(patterns))
    name = case["id"]
    found = {name: result.logits[0]}
    found.update({f"{name}/{site}": live.captured[site][0] for site in sites})
    found.update({f"{name}/{site}": result.attentions[int(site.split(".")[1])][0] for site in patterns})
    return {key: value.double().contiguous() for key, value in found.items()}


@contextmanager
def _weights_of(folder: Path, model: Any) -> Iterator[None]:
    """A quantised folder's numbers in a model, for as long as a `with` block lasts."""
    saved = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(dequantized(folder, saved))
    try:
        yield
    finally:
        model.load_state_dict(saved)


def _compare_baked(name: str, place: Path, expected: dict[str, torch.Tensor]) -> dict[str, Any]:
    """The baked folder in transformers, with the stages that no weight takes, against the bundle on the plain model."""
    case = next(case for case in json.loads((place / "cases.json").read_text()) if case["model"] == "baked")
    remainder = "remainder.safetensors" if (place / "remainder.safetensors").exists() else None
    made = run(load(place / "baked"), {**case, "bundle": remainder}, place)
    return {"model": name, **_difference(made[case["id"]], expected[case["id"]])}


def _float32_parts(name: str, folder: Path, place: Path, expected: dict[str, torch.Tensor]) -> dict[str, Any]:
    """A float64 model as transformers computes it, against the same in float64 throughout."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
    worst = {"error": 0.0, "largest": 1.0}
    for case in json.loads((place / "cases.json").read_text()):
        if case["column"] == "logits":
            with torch.no_grad():
                logits = model(torch.tensor([case["tokens"]]), use_cache=False).logits[0]
            worst = max(
                worst, _difference(logits, expected[case["id"]]), key=lambda each: each["error"] / each["largest"]
            )
    return {"model": name, **worst}


def _difference(found: torch.Tensor, wanted: torch.Tensor) -> dict[str, float]:
    return {"error": float((found - wanted).abs().max()), "largest": float(wanted.abs().max())}


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
