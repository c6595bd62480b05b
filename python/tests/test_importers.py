"""Other tools' names and tensors become stages."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from sluice_bundles import BundleError, ModelShape, from_nnsight, from_pyvene, from_repeng, from_transformer_lens

GPT2 = ModelShape("gpt2", 3, 8, 2, 2, 4, 16, 11)
LLAMA = ModelShape("llama", 2, 8, 4, 2, 2, 12, 11)


def stages(bundle):
    return [
        (stage["id"], stage.get("method", "neuron_scale"), stage["site"], stage["layers"])
        for stage in bundle.manifest["stages"]
    ]


def test_transformer_lens():
    hooks = {"blocks.1.hook_resid_post": np.ones(8), "blocks.0.hook_resid_post": np.ones(8)}
    bundle = from_transformer_lens(GPT2, hooks, alpha=2)
    assert stages(bundle) == [("transformer_lens", "addition", "resid_post", [0, 1])]
    assert bundle.manifest["stages"][0]["alpha"] == 2
    mixed = {"blocks.2.attn.hook_z": np.arange(8.0).reshape(2, 4), "blocks.2.mlp.hook_post": np.ones(16)}
    bundle = from_transformer_lens(GPT2, mixed)
    assert [row[2] for row in stages(bundle)] == ["attn_z", "mlp_post"]
    assert bundle.tensors["transformer_lens-attn_z.2.shift"].float32().tolist() == list(range(8))
    ace = from_transformer_lens(
        LLAMA, {"blocks.0.hook_attn_out": np.ones(8)}, method="ace", reference={"blocks.0.hook_attn_out": np.zeros(8)}
    )
    assert stages(ace) == [("transformer_lens", "ace", "attn_out", [0])]
    with pytest.raises(BundleError, match="reference is missing"):
        from_transformer_lens(GPT2, {"blocks.0.hook_mlp_out": np.ones(8)}, method="ace")
    with pytest.raises(BundleError, match="captured only"):
        from_transformer_lens(GPT2, {"blocks.0.attn.hook_q": np.ones(8)})


def test_nnsight():
    assert stages(from_nnsight(GPT2, {"transformer.h.2.output[0]": np.ones(8)}))[0][2:] == ("resid_post", [2])
    assert stages(from_nnsight(LLAMA, {"model.layers.1.mlp.down_proj.input": np.ones(12)}, method="scale")) == [
        ("nnsight", "neuron_scale", "mlp_post", [1])
    ]
    with pytest.raises(BundleError, match="leaves the stream as it is"):
        from_nnsight(GPT2, {"transformer.h.2.ln_2.input": np.ones(8)})


def test_pyvene():
    key = "layer.1.comp.block_output.unit.pos.nunit.1#0"
    assert stages(from_pyvene(LLAMA, {key: np.ones(8)})) == [("pyvene", "addition", "resid_post", [1])]
    assert stages(from_pyvene(GPT2, {(0, "mlp_activation"): np.ones(16)}))[0][2] == "mlp_post"
    with pytest.raises(BundleError, match="activated gate"):
        from_pyvene(LLAMA, {(0, "mlp_activation"): np.ones(12)})


def test_repeng():
    vector = SimpleNamespace(model_type="llama", directions={-1: np.ones(8), 0: np.ones(8)})
    assert stages(from_repeng(LLAMA, vector, strength=1.5)) == [("control", "addition", "resid_post", [0, 1])]
    with pytest.warns(UserWarning, match="made for a model of type llama"):
        from_repeng(GPT2, vector)
    with pytest.raises(BundleError, match="lists layer 5"):
        from_repeng(LLAMA, {5: np.ones(8)})
