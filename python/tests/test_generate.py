"""Batches, padding, caches, generation and settings on transformers models, in float64."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from sluice_bundles import Bundle, BundleError, ModelShape, apply, seal  # noqa: E402

pytestmark = pytest.mark.torch

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "vocab_size": 50,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": None,
}
CONFIGS = {
    "gpt2": lambda: transformers.GPT2Config(
        n_embd=16, n_layer=2, n_head=4, vocab_size=50, n_positions=64, eos_token_id=None
    ),
    "llama": lambda: transformers.LlamaConfig(**SIZES, num_key_value_heads=2),
    "mistral": lambda: transformers.MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=4),
    "qwen2": lambda: transformers.Qwen2Config(**SIZES, num_key_value_heads=2),
}
PROMPTS = ([5, 6, 7, 8, 9], [11, 12, 13])


def model_of(family: str):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = transformers.AutoModelForCausalLM.from_config(CONFIGS[family](), dtype=torch.float64)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model.eval()


def bundle_of(model) -> Bundle:
    """Stages of every kind, at positions that depend on the prompt and on tokens."""
    rng = np.random.default_rng(0)
    shape = ModelShape.of(model)
    last = {"any": [[-1], {"tokens": [12, 7]}]}
    ace = Bundle.ace(shape, {0: rng.normal(size=16)}, {0: rng.normal(size=16)}, positions=last)
    neurons = Bundle.neuron_scale(
        shape, {1: rng.normal(size=shape.intermediate_size)}, site="mlp_post", positions="generated"
    )
    to = "blocks.1.head.2" if shape.num_kv_heads == 4 else "blocks.1.k.1"
    cut = Bundle.edge_mask(shape, [("embed", to, 0), ("blocks.0.head.1", "logits", 0.25)], strength=0.75)
    middle = Bundle.ablation(shape, {1: rng.normal(size=16)}, site="resid_mid", positions={"from": -2, "to": "P"})
    return ace + neurons + cut + middle


def padded(side: str):
    width = max(map(len, PROMPTS))
    rows = [
        [0] * (width - len(row)) + list(row) if side == "left" else [*row, *[0] * (width - len(row))] for row in PROMPTS
    ]
    ids = torch.tensor(rows)
    return ids, (ids != 0).long()


def generate(model, ids, **settings):
    settings = {
        "max_new_tokens": 6,
        "do_sample": False,
        "output_logits": True,
        "return_dict_in_generate": True,
        **settings,
    }
    result = model.generate(ids, **settings)
    return result.sequences[:, ids.shape[1] :], torch.stack(result.logits, 1).double()  # generate makes them float32


@pytest.mark.parametrize("family", CONFIGS)
def test_generation_equals_one_call(family):
    """A batch with padding and a cache, the same without cache, each row alone, and all tokens in one call."""
    model = model_of(family)
    bundle = bundle_of(model)
    ids, mask = padded("left")
    with torch.no_grad(), apply(model, bundle):
        tokens, logits = generate(model, ids, attention_mask=mask)
        _, uncached = generate(model, ids, attention_mask=mask, use_cache=False)
        assert torch.allclose(logits, uncached, atol=1e-5)
        for row, prompt in enumerate(PROMPTS):
            alone, own = generate(model, torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)))
            assert alone[0].tolist() == tokens[row].tolist()
            assert torch.allclose(own[0], logits[row], atol=1e-5)
    assert "generate" not in model.__dict__
    whole = torch.tensor([[*PROMPTS[0], *tokens[0].tolist()]])
    with torch.no_grad(), apply(model, bundle, prompt_length=len(PROMPTS[0])):
        once = model(whole).logits[0, len(PROMPTS[0]) - 1 : -1]
    assert torch.allclose(once, logits[0], atol=1e-5)
    with torch.no_grad():
        assert not torch.allclose(model(whole).logits[0, len(PROMPTS[0]) - 1 : -1], once, atol=1e-3)


def test_right_padding_changes_nothing():
    model = model_of("llama")
    bundle = bundle_of(model)
    ids, mask = padded("right")
    with torch.no_grad(), apply(model, bundle):
        batch = model(ids, attention_mask=mask).logits
        for row, prompt in enumerate(PROMPTS):
            assert torch.allclose(model(torch.tensor([prompt])).logits[0], batch[row, : len(prompt)], atol=1e-6)


def test_settings_are_live_and_strength_0_is_nothing():
    model = model_of("gpt2")
    ids = torch.tensor([PROMPTS[0]])
    bundle = Bundle.addition(model, {1: np.ones(16)}, site="attn_out", id="up", alpha=2)
    with torch.no_grad():
        plain = model(ids).logits
        with apply(model, bundle, strengths={"up": 0}) as live:
            assert torch.equal(model(ids).logits, plain)
            live.set("up", strength=-1.5)
            once = model(ids).logits
            live.set("up", strength=3, alpha=-1)
            assert torch.allclose(model(ids).logits, once)
            with pytest.raises(BundleError, match="No stage is called"):
                live.set("down", strength=1)
            with pytest.raises(BundleError, match="already"), apply(model, bundle):
                pass
        assert torch.equal(model(ids).logits, plain)


def test_a_position_before_the_prompt_is_nowhere_with_a_warning():
    model = model_of("gpt2")
    ids = torch.tensor([PROMPTS[1]])
    bundle = Bundle.addition(model, {1: np.ones(16)}, positions=[-4])
    with torch.no_grad(), apply(model, bundle), pytest.warns(UserWarning, match="counts back 4"):
        edited = model(ids).logits
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(model(ids).logits, edited)


def test_a_bundle_for_another_model_is_refused():
    with pytest.raises(BundleError, match=r"base\.model_type"):
        apply(model_of("llama"), Bundle.addition(model_of("gpt2"), {0: np.ones(16)}))


def test_a_sealed_bundle_carries_what_torch_computes():
    model = model_of("qwen2")
    sealed = seal(model, bundle_of(model), PROMPTS)
    first, second = sealed.manifest["checks"]
    assert (first["tokens"], first["prompt_length"]) == (PROMPTS[0], 5)
    with torch.no_grad(), apply(model, sealed):
        logits = model(torch.tensor([PROMPTS[1]])).logits[0, -1]
    assert [token for token, _ in second["top"]] == logits.topk(5).indices.tolist()
    assert second["top"][0][1] == pytest.approx(float(logits.max()), abs=1e-5)
    with pytest.raises(BundleError, match="no prompts"):
        seal(model, sealed, [])
