"""Gives bundles their self-test: what PyTorch computes, for the engine to compare with on any device."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from .applied import apply
from .bundle import Bundle
from .errors import BundleError

# As many logits, as much room for other devices' rounding and as many decimal places as `sluice bundle seal` takes.
_NAMED = 5
_RELATIVE, _LEAST = 5e-4, 2e-3
_DECIMALS = 5


def seal(model: Any, bundle: Bundle, prompts: Iterable[Sequence[int]]) -> Bundle:
    """A bundle with `checks` in place of its own: the highest logits after each prompt, at the bundle's own strengths.

    `sluice bundle check` and `checkBundle` then show on any device that the engine computes what PyTorch did.

    Args:
        model: a transformers model with its language-model head; what it computes in is what the checks are worth.
        bundle: one that fits the model.
        prompts: token ids, all of which are prompt; three are usual.

    Raises `BundleError` if the bundle does not fit the model, or makes logits that are not finite.
    """
    checks = []
    for prompt in prompts:
        tokens = [int(token) for token in prompt]
        ids = torch.tensor([tokens], device=next(model.parameters()).device)
        with torch.no_grad(), apply(model, bundle, prompt_length=len(tokens)):
            logits = model(ids, use_cache=False).logits[0, -1].double()
        if not bool(logits.isfinite().all()):
            raise BundleError("usage", "The logits under the bundle are not finite", "Lower its strengths and alphas.")
        top = logits.topk(min(_NAMED, len(logits)))
        named = [
            [token, round(value, _DECIMALS)]
            for token, value in zip(top.indices.tolist(), top.values.tolist(), strict=True)
        ]
        largest = max(abs(value) for _, value in named)
        atol = float(f"{max(_LEAST, _RELATIVE * largest):.2g}")
        checks.append({"tokens": tokens, "prompt_length": len(tokens), "top": named, "atol": atol})
    if not checks:
        raise BundleError("usage", "seal was given no prompts")
    return Bundle({**bundle.manifest, "checks": checks}, bundle.tensors, bundle.metadata, bundle.file)
