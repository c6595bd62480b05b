"""Edge attribution and AurA's measurement in plain PyTorch hooks, and in TransformerLens where it is installed.

    python speed.py WEIGHTS INPUT

INPUT is JSON: `texts` for attribution (of one length), `positive` and `negative` for AurA. Says which tools there are,
then does what each line of the standard input names, such as `edges PyTorch hooks`, and answers with a line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

BATCH = 32

Rows = list[list[int]]


class EdgeScores:
    """∂loss/∂m of every edge of a mask of ones: Σ over tokens of ⟨∂loss/∂(input of D), output of S⟩."""

    def __init__(self, layers: int, heads: int) -> None:
        self._layers, self._heads = layers, heads

    def __call__(
        self, sources: list[Tensor], attn: list[Tensor], mlp: list[Tensor], logits: Tensor
    ) -> list[list[float]]:
        """`sources` are `[batch, tokens, d]` in canonical order; gradients at inputs, attention's per head."""
        stacked = torch.stack(sources)
        count = len(sources)
        rows = []

        def row(gradient: Tensor, visible: int) -> None:
            scores = torch.zeros(count)
            scores[:visible] = torch.einsum("sbtd,btd->s", stacked[:visible], gradient)
            rows.append(scores)

        for layer in range(self._layers):
            seen = 1 + layer * (self._heads + 1)
            for head in range(self._heads):
                row(attn[layer][:, :, head], seen)
            row(mlp[layer], seen + self._heads)
        row(logits, count)
        return torch.stack(rows).tolist()


def auroc(positive: Tensor, negative: Tensor) -> Tensor:
    """Of every neuron, by mid-ranks: `[n, neurons]` of both classes."""
    ordered = negative.T.contiguous().sort(-1).values
    values = positive.T.contiguous()
    below = torch.searchsorted(ordered, values, right=False) + torch.searchsorted(ordered, values, right=True)
    return below.double().mean(-1) / 2 / len(negative)


def batches(rows: Rows) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        width = max(map(len, part))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in part])
        real = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in part])
        yield ids, real


def greatest(rows: Tensor, real: Tensor) -> Tensor:
    return rows.masked_fill(real[:, :, None] == 0, -torch.inf).amax(1)


class PlainHooks:
    """transformers' GPT-2 and hooks, as one would write them for this alone."""

    name = "PyTorch hooks"

    def __init__(self, folder: Path) -> None:
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._blocks = self._model.transformer.h
        self._heads = self._model.config.n_head

    def edges(self, texts: Rows) -> list[list[float]]:
        ids = torch.tensor(texts)
        kept: dict[str, Tensor] = {}
        handles = []

        def keep(module: Any, name: str, of_input: bool = False) -> None:
            def hook(_: Any, args: Any, output: Any) -> None:
                tensor = args[0] if of_input else output
                if tensor.requires_grad:
                    tensor.retain_grad()
                kept[name] = tensor

            handles.append(module.register_forward_hook(hook))

        for layer, block in enumerate(self._blocks):
            keep(block.ln_1, f"in.{layer}", of_input=True)
            keep(block.attn.c_attn, f"qkv.{layer}")
            keep(block.attn.c_proj, f"z.{layer}", of_input=True)
            keep(block.ln_2, f"mid.{layer}", of_input=True)
            keep(block.ln_2, f"normed.{layer}")
            keep(block.mlp, f"mlp.{layer}")
        keep(self._model.transformer.ln_f, "last", of_input=True)
        keep(self._model.transformer.ln_f, "final")
        try:
            self._model.zero_grad(set_to_none=True)
            logits = self._model(ids, use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
            loss.backward()
        finally:
            for handle in handles:
                handle.remove()
        with torch.no_grad():
            sources, attn, mlp = [kept["in.0"]], [], []
            for layer, block in enumerate(self._blocks):
                projection, wrote = block.attn.c_attn, block.attn.c_proj
                batch, tokens, width = kept[f"z.{layer}"].shape
                size = width // self._heads
                gradient = kept[f"qkv.{layer}"].grad.view(batch, tokens, 3, self._heads, size)
                weight = projection.weight.view(width, 3, self._heads, size)
                normed = torch.einsum("btchk,dchk->bthd", gradient, weight)
                attn.append(_through_norm(block.ln_1, kept[f"in.{layer}"][:, :, None], normed))
                mlp.append(_through_norm(block.ln_2, kept[f"mid.{layer}"], kept[f"normed.{layer}"].grad))
                z = kept[f"z.{layer}"].view(batch, tokens, self._heads, size)
                out = torch.einsum("bthk,hkd->hbtd", z, wrote.weight.view(self._heads, size, width))
                sources += list(out + wrote.bias / self._heads)
                sources.append(kept[f"mlp.{layer}"])
            last = _through_norm(self._model.transformer.ln_f, kept["last"], kept["final"].grad)
            return EdgeScores(len(self._blocks), self._heads)(sources, attn, mlp, last)

    def aura(self, positive: Rows, negative: Rows) -> list[float]:
        kept: dict[int, Tensor] = {}
        modules = [block.mlp.c_fc for block in self._blocks] + [block.mlp.c_proj for block in self._blocks]

        def hook_for(index: int) -> Callable[..., None]:
            def hook(_: Any, __: Any, output: Tensor) -> None:
                kept[index] = output

            return hook

        handles = [module.register_forward_hook(hook_for(index)) for index, module in enumerate(modules)]
        try:
            with torch.inference_mode():
                found = [
                    torch.cat([self._measure(ids, real, kept, len(modules)) for ids, real in batches(rows)])
                    for rows in (positive, negative)
                ]
                return auroc(*found).tolist()
        finally:
            for handle in handles:
                handle.remove()

    def _measure(self, ids: Tensor, real: Tensor, kept: dict[int, Tensor], count: int) -> Tensor:
        # The head is not needed.
        self._model.transformer(ids, attention_mask=real, use_cache=False)
        return torch.cat([greatest(kept[index], real) for index in range(count)], -1)


def _through_norm(norm: Any, rows: Tensor, gradient: Tensor) -> Tensor:
    """The gradient at a LayerNorm's input, of that at its output."""
    centred = rows - rows.mean(-1, keepdim=True)
    inverse = (centred.pow(2).mean(-1, keepdim=True) + norm.eps).rsqrt()
    unit, weighted = centred * inverse, gradient * norm.weight
    return inverse * (weighted - weighted.mean(-1, keepdim=True) - unit * (weighted * unit).mean(-1, keepdim=True))


class Lens:
    """TransformerLens' HookedTransformer, with its hooks at heads' and MLPs' inputs."""

    def __init__(self, folder: Path) -> None:
        from importlib.metadata import version

        import transformer_lens
        from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights

        self.name = f"TransformerLens {version('transformer-lens')}"
        original = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        c = original.config
        config = transformer_lens.HookedTransformerConfig(
            n_layers=c.n_layer,
            d_model=c.n_embd,
            n_ctx=c.n_positions,
            d_head=c.n_embd // c.n_head,
            n_heads=c.n_head,
            d_mlp=4 * c.n_embd,
            d_vocab=c.vocab_size,
            act_fn="gelu_new",
            eps=c.layer_norm_epsilon,
            normalization_type="LN",
        )
        self._model = transformer_lens.HookedTransformer(config)
        self._model.load_state_dict(convert_gpt2_weights(original, config), strict=False)
        self._model.eval()
        self._layers, self._heads = c.n_layer, c.n_head

    def _splits(self, on: bool) -> None:
        self._model.set_use_attn_in(on)
        self._model.set_use_attn_result(on)
        self._model.set_use_hook_mlp_in(on)

    def edges(self, texts: Rows) -> list[list[float]]:
        ids = torch.tensor(texts)
        self._splits(True)
        last = self._layers - 1
        values: dict[str, Tensor] = {}
        gradients: dict[str, Tensor] = {}
        outputs = ["blocks.0.hook_resid_pre"]
        inputs = [f"blocks.{last}.hook_resid_post"]
        for layer in range(self._layers):
            outputs += [f"blocks.{layer}.attn.hook_result", f"blocks.{layer}.hook_mlp_out"]
            inputs += [f"blocks.{layer}.hook_attn_in", f"blocks.{layer}.hook_mlp_in"]

        def keep(tensor: Tensor, hook: Any) -> None:
            values[hook.name] = tensor.detach()

        def keep_gradient(tensor: Tensor, hook: Any) -> None:
            gradients[hook.name] = tensor.detach()

        self._model.zero_grad(set_to_none=True)
        with self._model.hooks(
            fwd_hooks=[(name, keep) for name in outputs], bwd_hooks=[(name, keep_gradient) for name in inputs]
        ):
            self._model(ids, return_type="loss").backward()
        sources = [values["blocks.0.hook_resid_pre"]]
        for layer in range(self._layers):
            share = self._model.blocks[layer].attn.b_O.detach() / self._heads
            sources += list(values[f"blocks.{layer}.attn.hook_result"].unbind(2))
            sources[-self._heads :] = [source + share for source in sources[-self._heads :]]
            sources.append(values[f"blocks.{layer}.hook_mlp_out"])
        attn = [gradients[f"blocks.{layer}.hook_attn_in"] for layer in range(self._layers)]
        mlp = [gradients[f"blocks.{layer}.hook_mlp_in"] for layer in range(self._layers)]
        return EdgeScores(self._layers, self._heads)(sources, attn, mlp, gradients[inputs[0]])

    def aura(self, positive: Rows, negative: Rows) -> list[float]:
        self._splits(False)
        names = [f"blocks.{layer}.mlp.hook_pre" for layer in range(self._layers)]
        names += [f"blocks.{layer}.hook_mlp_out" for layer in range(self._layers)]
        with torch.inference_mode():
            found = [
                torch.cat([self._measure(ids, real, names) for ids, real in batches(rows)])
                for rows in (positive, negative)
            ]
            return auroc(*found).tolist()

    def _measure(self, ids: Tensor, real: Tensor, names: list[str]) -> Tensor:
        kept: dict[str, Tensor] = {}

        def keep(tensor: Tensor, hook: Any) -> None:
            kept[hook.name] = tensor

        # Padding comes after a sentence, so causal attention leaves it out; the head is not needed.
        hooks = [(name, keep) for name in names]
        self._model.run_with_hooks(ids, stop_at_layer=self._layers, fwd_hooks=hooks)
        return torch.cat([greatest(kept[name], real) for name in names], -1)


def main(folder: Path, given: dict[str, Any]) -> None:
    tools: dict[str, Any] = {}
    found = PlainHooks(folder)
    tools[found.name] = found
    try:
        lens = Lens(folder)
        tools[lens.name] = lens
    except ImportError as error:
        print(f"Without TransformerLens: {error}", file=sys.stderr)
    print(
        json.dumps({"tools": list(tools), "torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True
    )
    for line in sys.stdin:
        what, _, name = line.strip().partition(" ")
        started = time.perf_counter()
        if what == "edges":
            result = tools[name].edges(given["texts"])
        else:
            result = tools[name].aura(given["positive"], given["negative"])
        ms = (time.perf_counter() - started) * 1000
        print(json.dumps({"ms": ms, "result": result}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text("utf-8")))
