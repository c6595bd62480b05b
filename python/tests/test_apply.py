"""Bundles on transformers models against the golden cases, in float64."""

from __future__ import annotations

from functools import cache

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from safetensors.torch import load_file  # noqa: E402

from golden import GOLDEN, cases  # noqa: E402
from sluice_bundles import Bundle, apply  # noqa: E402

pytestmark = pytest.mark.torch

TOLERANCE = 1e-6
STEPPED = ("everything", "edges-most-cut", "positions-any-affine", "addition-generated")
MODELS = ("gpt2-tiny", "llama-tiny", "llama3-tiny")


@cache
def model_of(name: str):
    torch.set_num_threads(1)
    return transformers.AutoModelForCausalLM.from_pretrained(GOLDEN / name, dtype=torch.float64).eval()


def difference(actual, expected) -> float:
    scale = max(1.0, float(expected.abs().max()))
    return float((actual - expected).abs().max()) / scale


CASES = [pytest.param(name, case, id=f"{name}-{case['case']}") for name in MODELS for case in cases(name)]


@pytest.mark.parametrize(("name", "case"), CASES)
def test_golden(name, case):
    model = model_of(name)
    expected = load_file(GOLDEN / name / case["expected"])
    bundles = [Bundle.read(GOLDEN / name / case["bundle"])] if case["bundle"] else []
    sites = [site for site in expected if site != "logits" and not site.startswith("attn_pattern")]
    settings = {"strengths": case.get("strengths"), "params": case.get("params"), "prompt_length": case["prompt_len"]}
    tokens = torch.tensor([case["tokens"]])
    with torch.no_grad(), apply(model, bundles, capture=sites, **settings) as live:
        assert difference(model(tokens, use_cache=False).logits[0], expected["logits"]) < TOLERANCE
        for site in sites:
            assert difference(live.captured[site][0], expected[site]) < TOLERANCE, site
        if case["case"] not in STEPPED:
            return
        # The same token by token, through the cache.
        cache, rows = None, []
        for column in tokens.T.split(1):
            step = model(column, past_key_values=cache, use_cache=True)
            cache = step.past_key_values
            rows.append(step.logits[0, -1])
    assert difference(torch.stack(rows), expected["logits"]) < TOLERANCE
