"""The examples of README.md run as printed, with what they leave to the reader."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sluice_bundles import Bundle, ModelShape

ROOT = Path(__file__).parents[2]
MAKE, RUN, BRING = re.findall(r"```python\n(.*?)```", (ROOT / "python" / "README.md").read_text("utf-8"), re.DOTALL)
RNG = np.random.default_rng(0)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "weights").symlink_to(ROOT / "weights", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make() -> None:
    exec(MAKE, {"positive": RNG.normal(size=96), "negative": RNG.normal(size=96), "scale": np.full(384, 0.5)})


def test_make_one(folder):
    make()
    assert [stage["id"] for stage in Bundle.read(folder / "calm.safetensors").manifest["stages"]] == [
        "calm",
        "quiet",
        "edges",
    ]


@pytest.mark.torch
def test_run_one(folder, monkeypatch, capsys):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    make()
    model = transformers.AutoModelForCausalLM.from_pretrained("weights/gpt2-stories")

    class Tokenizer:
        def __call__(self, text, return_tensors):
            return {"input_ids": torch.tensor([[7454]])}

        def decode(self, ids):
            return f"{len(ids)} tokens"

    # In place of the hub's gpt2 and its tokenizer.
    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", lambda _: model)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda _: Tokenizer())
    exec(RUN, {})
    assert "21 tokens" in capsys.readouterr().out


def test_bring_one_along(folder):
    model = ModelShape("gpt2", 12, 768, 12, 12, 64, 3072, 50257)
    vector = RNG.normal(size=768)
    control_vector = SimpleNamespace(model_type="gpt2", directions={7: vector})
    exec(BRING, {"model": model, "vector": vector, "control_vector": control_vector})
    assert Bundle.read(folder / "tl.safetensors").manifest["stages"][0]["site"] == "resid_post"
