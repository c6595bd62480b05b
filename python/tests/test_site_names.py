"""The dictionary of site names is one file with the engine's."""

from __future__ import annotations

from pathlib import Path

import pytest

import sluice_bundles
from sluice_bundles import BundleError, ModelShape
from sluice_bundles.site_names import site_of_hook

GPT2 = ModelShape("gpt2", 3, 8, 2, 2, 4, 16, 11)


def test_the_copy_is_the_engines_file():
    engine = Path(__file__).parents[2] / "src" / "interventions" / "site-names.json"
    copy = Path(sluice_bundles.__file__).parent / "site_names.json"
    assert copy.read_bytes() == engine.read_bytes(), "copy src/interventions/site-names.json to site_names.json"


def test_hooks_have_sites_where_they_hold_the_same_values():
    assert site_of_hook(GPT2, "blocks.1.hook_resid_post") == ("resid_post", 1)
    assert site_of_hook(GPT2, "blocks.2.attn.hook_z") == ("attn_z", 2)
    with pytest.raises(BundleError, match="differ here"):
        site_of_hook(GPT2, "blocks.1.ln1.hook_normalized")
    with pytest.raises(BundleError, match="is not a hook"):
        site_of_hook(GPT2, "blocks.1.hook_attn_in")
