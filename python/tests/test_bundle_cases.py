"""Good and bad bundles that the engine is tested on too, in test/data/bundle-cases.json."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sluice_bundles import Bundle, BundleError, ModelShape, StoredTensor
from sluice_bundles.tensors import write_safetensors

CASES = json.loads((Path(__file__).parents[2] / "test" / "data" / "bundle-cases.json").read_text("utf-8"))


def tensor_of(spec) -> StoredTensor:
    count = int(np.prod(spec["shape"]))
    values = np.array(spec.get("values", [spec.get("fill")] * count)).astype(np.float32)
    data = {
        "F32": lambda: values.tobytes(),
        "F16": lambda: values.astype(np.float16).tobytes(),
        "BF16": lambda: (values.view(np.uint32) >> 16).astype(np.uint16).tobytes(),
        "I32": lambda: values.astype(np.int32).tobytes(),
        "I64": lambda: values.astype(np.int64).tobytes(),
    }[spec["dtype"]]()
    return StoredTensor(spec["dtype"], tuple(spec["shape"]), data)


def file_of(case) -> bytes:
    base = {**ModelShape.of(CASES["models"][case["model"]]).base(), **case.get("base", {})}
    manifest = {"name": "test", "base": base, "stages": case["stages"], **case.get("extra", {})}
    usual = {"format": "sluice.interventions/1", "manifest": json.dumps(manifest)}
    tensors = {name: tensor_of(spec) for name, spec in case["tensors"].items()}
    return write_safetensors(tensors, case.get("metadata", usual))


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda case: case["case"])
def test_case(case):
    model = CASES["models"][case["model"]]
    if "refused" not in case:
        bundle = Bundle.from_bytes(file_of(case), "b.safetensors")
        bundle.validate(model)
        again = Bundle.from_bytes(bundle.to_bytes())
        assert (again.manifest, again.tensors) == (bundle.manifest, bundle.tensors)
        assert bundle.manifest["stages"][0]["id"] in bundle.inspect()
        return
    with pytest.raises(BundleError) as caught:
        Bundle.from_bytes(file_of(case), "b.safetensors").validate(model)
    assert caught.value.code == "bad_bundle"
    for part in case["refused"]:
        assert part in str(caught.value)
