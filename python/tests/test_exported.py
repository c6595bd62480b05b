"""What `sluice bundle export` writes, where it is used: hooks on transformers models, and files of vectors."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from safetensors.torch import load_file  # noqa: E402

from golden import GOLDEN, cases  # noqa: E402
from sluice_bundles import Bundle  # noqa: E402

pytestmark = pytest.mark.torch

REPOSITORY = Path(__file__).parents[2]
TSX = REPOSITORY / "node_modules" / ".bin" / "tsx"
TOLERANCE = 1e-6
MODELS = ("gpt2-tiny", "llama-tiny", "llama3-tiny")
CASES = [
    pytest.param(name, case, id=f"{name}-{case['case']}") for name in MODELS for case in cases(name) if case["bundle"]
]


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    if not TSX.exists() or shutil.which("node") is None:
        pytest.skip("needs Node and the repository's packages")
    folder = tmp_path_factory.mktemp("exported")
    subprocess.run([TSX, "scripts/export-golden.ts", folder], cwd=REPOSITORY, check=True)
    return folder


@cache
def model_of(name: str):
    torch.set_num_threads(1)
    return transformers.AutoModelForCausalLM.from_pretrained(GOLDEN / name, dtype=torch.float64).eval()


def hooks_of(path: Path):
    spec = importlib.util.spec_from_file_location("exported_hooks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def difference(actual, expected) -> float:
    return float((actual - expected).abs().max()) / max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize(("name", "case"), CASES)
def test_hooks(exported, name, case):
    model = model_of(name)
    expected = load_file(GOLDEN / name / case["expected"])["logits"]
    hooks = hooks_of(exported / name / case["bundle"].replace(".safetensors", ".py"))
    alphas = {key: value["alpha"] for key, value in (case.get("params") or {}).items()}
    tokens = torch.tensor([case["tokens"]])
    settings = {"strengths": case.get("strengths"), "alphas": alphas, "prompt_length": case["prompt_len"]}
    with torch.no_grad(), hooks.apply(model, **settings):
        assert difference(model(tokens, use_cache=False).logits[0], expected) < TOLERANCE
        # The same token by token, through the cache.
        past, rows = None, []
        for column in tokens.T.split(1):
            step = model(column, past_key_values=past, use_cache=True)
            past = step[1]
            rows.append(step.logits[0, -1])
    assert difference(torch.stack(rows), expected) < TOLERANCE


def test_hooks_in_generate_and_after(exported):
    model = model_of("gpt2-tiny")
    hooks = hooks_of(exported / "gpt2-tiny" / "addition-generated.py")
    tokens = torch.tensor([[1, 2, 3]])
    settings = {"do_sample": False, "max_new_tokens": 6, "pad_token_id": 0}
    with torch.no_grad():
        before = model.generate(tokens, **settings)
        with hooks.apply(model, strengths={"a": 50.0}):
            during = model.generate(tokens, **settings)
        after = model.generate(tokens, **settings)
    assert during[0, 3] == before[0, 3]  # the prompt is not edited
    assert during.tolist() != before.tolist() == after.tolist()
    with pytest.raises(KeyError, match="b"):
        hooks.apply(model, strengths={"b": 1.0})


def test_vectors_are_numpys(exported):
    stage = "a.0.direction"
    bundle = Bundle.read(GOLDEN / "gpt2-tiny" / "addition-generated.safetensors")
    with np.load(exported / "gpt2-tiny" / "addition-generated.npz", allow_pickle=False) as arrays:
        assert arrays.files == ["resid_post.0"]
        assert arrays["resid_post.0"].tobytes() == bundle.tensors[stage].data


def test_loreft_does_what_the_stage_does(exported):
    bundle = Bundle.read(GOLDEN / "gpt2-tiny" / "ace-resid_post.safetensors")
    (stage,) = bundle.manifest["stages"]
    for layer in stage["layers"]:
        key = f"intkey_layer_{layer}_comp_block_output_unit_pos_nunit_1#0.bin"
        state = torch.load(exported / "gpt2-tiny" / "reft" / key, weights_only=True)
        assert list(state) == ["weight", "bias", "rotate_layer"]
        rotation, weight, bias = (state[name].double() for name in ("rotate_layer", "weight", "bias"))
        rows = torch.randn(4, rotation.shape[0], dtype=torch.float64)
        edited = rows + (rows @ weight.T + bias - rows @ rotation) @ rotation.T
        r, reference = (
            torch.tensor(np.frombuffer(bundle.tensors[f"{stage['id']}.{layer}.{name}"].data, "<f4").copy()).double()
            for name in ("direction", "reference")
        )
        unit = r / r.norm()
        coordinate = unit @ reference + stage.get("alpha", 1.0) * r.norm()
        assert difference(edited @ unit, coordinate.expand(4)) < TOLERANCE
