"""Bundles made, joined, written and read."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors import safe_open

from sluice_bundles import Bundle, BundleError, ModelShape

GPT2 = ModelShape("gpt2", 3, 8, 2, 2, 4, 16, 11)


def test_what_is_written_is_read(tmp_path):
    ace = Bundle.ace(GPT2, {1: np.ones(8)}, {1: [0] * 8}, alpha=np.float32(0.5), gate={"clamp": (-1, 1)}, name="calm")
    cut = Bundle.edge_mask(GPT2, [("embed", "logits", 0.5)], constants=np.zeros((10, 8)), fit={"seed": np.int64(3)})
    both = ace + cut + Bundle.neuron_scale(GPT2, {0: np.ones(8, np.float16)}, site="mlp_out", positions=[0, -1])
    path = tmp_path / "b.safetensors"
    both.write(path)
    again = Bundle.read(path)
    assert (again.manifest, again.tensors) == (both.manifest, both.tensors)
    assert again.manifest["name"] == "calm + edges + neurons"
    assert again.manifest["fit"] == {"calm + edges": {"edges": {"seed": 3}}}
    assert again.tensors["neurons.0.scale"].dtype == "F16"
    with safe_open(path, framework="numpy") as file:
        assert file.metadata()["format"] == "sluice.interventions/1"
        assert file.get_tensor("ace.1.direction").tolist() == [1] * 8
    text = both.inspect()
    assert "ace sets the coordinate along a direction at resid_post of layer 1" in text
    assert "embed → logits: 0.5" in text


def test_constructors_refuse_what_does_not_fit():
    with pytest.raises(BundleError, match=r"ace\.0\.direction is zero") as caught:
        Bundle.ace(GPT2, {0: np.zeros(8)}, {0: np.zeros(8)})
    assert caught.value.code == "bad_bundle"
    with pytest.raises(BundleError, match="gate has no meaning"):
        Bundle.addition(GPT2, {0: np.ones(8)}, gate="relu")
    with pytest.raises(BundleError, match="strenght is not a field"):
        Bundle.addition(GPT2, {0: np.ones(8)}, strenght=1)
    addition = Bundle.addition(GPT2, {0: np.ones(8)})
    with pytest.raises(BundleError, match="tensor addition"):
        addition + addition


def test_any_text_is_kept():
    bundle = Bundle.addition(GPT2, {0: np.ones(8)}, description="café \ud800")
    assert Bundle.from_bytes(bundle.to_bytes()).manifest == bundle.manifest


def test_a_damaged_file_is_refused():
    with pytest.raises(BundleError, match="not a safetensors file") as caught:
        Bundle.from_bytes(b"1234567")
    assert caught.value.code == "bad_file"


def test_checks_are_kept(tmp_path):
    check = {"tokens": [1, 2, 3], "prompt_length": 2, "top": [[5, 9.31], [7, 8.2]], "atol": 0.002}
    bundle = Bundle.addition(GPT2, {0: np.ones(8)})
    bundle.manifest["checks"] = [check, {**check, "tokens": [4]} | {"prompt_length": 1}, check]
    path = tmp_path / "b.safetensors"
    bundle.write(path)
    assert Bundle.read(path).manifest["checks"] == bundle.manifest["checks"]
    assert "checks" not in (bundle + Bundle.addition(GPT2, {1: np.ones(8)}, id="more")).manifest
    bundle.manifest["checks"] = [{**check, "tokens": [11]}]
    with pytest.raises(BundleError, match=r"checks\[0\] names token 11"):
        bundle.write(path)
