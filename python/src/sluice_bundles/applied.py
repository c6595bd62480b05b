"""Runs bundles on transformers models by hooks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .bundle import Bundle
from .compose import apply_settings, compose
from .edge_inputs import EdgeInputs
from .errors import BundleError
from .kinds import EdgeMaskStage, SiteStage
from .layout import Block, Layout, layout_of, weight_of
from .roles import Roles
from .shape import ModelShape
from .site_edits import SiteEdits
from .site_names import sites_of
from .strict_json import show

if TYPE_CHECKING:
    from torch import Tensor

_MARK = "_sluice_applied"


def apply(
    model: Any,
    bundles: Bundle | Sequence[Bundle | tuple[Bundle, str]] = (),
    *,
    strengths: Mapping[str, float] | None = None,
    params: Mapping[str, Mapping[str, float]] | None = None,
    positions: Mapping[str, Any] | None = None,
    prompt_length: int | Sequence[int] | None = None,
    capture: Iterable[str] = (),
) -> Applied:
    """Runs bundles on a transformers GPT-2, Llama, Mistral or Qwen2 while a `with` block lasts.

    Args:
        model: with or without its language-model head. Calls and `generate` work as ever: with and without a cache, in
            batches with padding, which the attention mask tells apart.
        bundles: one, or several in the order in which they act; a pair `(bundle, prefix)` makes ids `PREFIX/ID`.
        strengths: by stage id, in place of the bundles' own; 0 equals leaving the stage out.
        params: `{"id": {"alpha": a}}`, in place of the bundles' own.
        positions: by stage id, in place of the bundles' own.
        prompt_length: P in tokens without padding, one or one per row; by default all tokens of the first call (in
            `generate`, the prompt), while later calls with its cache continue it.
        capture: names of sites to keep, such as `resid_post.3`; all but `attn_pattern`.

    Raises `BundleError` if the bundles do not fit the model or each other.
    """
    given = [bundles] if isinstance(bundles, Bundle) else list(bundles)
    return Applied(model, given, strengths, params, positions, prompt_length, capture)


class Applied:
    """Bundles on a model; what `apply` returns. Strengths, alphas and positions can be set between two calls."""

    def __init__(
        self,
        model: Any,
        bundles: Sequence[Bundle | tuple[Bundle, str]],
        strengths: Mapping[str, float] | None,
        params: Mapping[str, Mapping[str, float]] | None,
        positions: Mapping[str, Any] | None,
        prompt_length: int | Sequence[int] | None,
        capture: Iterable[str],
    ) -> None:
        self._model = model
        self._shape = ModelShape.of(model)
        self._layout: Layout = layout_of(model, self._shape)
        composition = compose(self._shape, bundles, strengths, params, positions)
        self.warnings = composition.warnings
        """What deserves a word about the bundles, such as an alpha that acts on nothing."""
        self.captured: dict[str, Tensor] = {}
        """The sites' values `[batch, tokens, width]` in the last call, after all stages at that name."""
        self._stages = composition.stages
        self._capture = frozenset(capture)
        self._check_capture()
        self._roles = Roles(prompt_length)
        self._edits = SiteEdits([stage for stage in self._stages if isinstance(stage, SiteStage)], self._roles)
        masks = [stage for stage in self._stages if isinstance(stage, EdgeMaskStage)]
        self._edges = EdgeInputs(masks[0], self._shape) if masks else None
        self._streams: dict[int, Tensor] = {}
        self._handles: list[Any] = []
        self._generate: Callable[..., Any] | None = None

    def set(
        self, stage_id: str, *, strength: float | None = None, alpha: float | None = None, positions: Any = None
    ) -> None:
        """Sets a stage's strength, alpha or positions for the calls that follow."""
        apply_settings(
            self._stages,
            self._shape,
            {} if strength is None else {stage_id: strength},
            {} if alpha is None else {stage_id: {"alpha": alpha}},
            {} if positions is None else {stage_id: positions},
        )

    def __enter__(self) -> Applied:
        if hasattr(self._layout.base, _MARK):
            raise BundleError("usage", "Bundles are applied to this model already", "Give apply a list of them.")
        try:
            setattr(self._layout.base, _MARK, True)
            self._hook_model()
            for layer, block in enumerate(self._layout.blocks):
                self._hook_block(layer, block)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._streams.clear()
        if self._generate is not None and self._model.__dict__.get("generate") is self._generate:
            del self._model.__dict__["generate"]
        self._generate = None
        if hasattr(self._layout.base, _MARK):
            delattr(self._layout.base, _MARK)

    def _check_capture(self) -> None:
        known = {entry["site"] for entry in sites_of(self._shape)} - {"attn_pattern"}
        for name in self._capture:
            site, _, layer = name.partition(".")
            outside = site in ("embed", "final_norm")
            fits = layer == "" if outside else layer.isdecimal() and int(layer) < self._shape.num_layers
            if site not in known or not fits:
                hint = (
                    f"Known are {', '.join(sorted(known))}, each but embed and final_norm with a layer: resid_post.0."
                )
                raise BundleError("usage", f"{show(name)} is not a site of this model that can be captured here", hint)

    # Hooks

    def _hook_model(self) -> None:
        base = self._layout.base

        def begin(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self.captured.clear()
            self._roles.begin_forward(module, args, kwargs)
            if self._edges:
                self._edges.begin()

        self._handles.append(base.register_forward_pre_hook(begin, with_kwargs=True))
        edges = self._edges
        if edges and edges.masked("logits"):
            self._on_input(self._layout.final_norm, lambda rows: edges.input("logits"))
        self._on_output(self._layout.final_norm, lambda rows: self._keep("final_norm", rows))
        generate = getattr(self._model, "generate", None)
        if generate is None:
            return

        @functools.wraps(generate)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self._roles.begin_generate()
            try:
                return generate(*args, **kwargs)
            finally:
                self._roles.end_generate()

        self._generate = self._model.__dict__["generate"] = wrapped

    def _hook_block(self, layer: int, block: Block) -> None:
        self._on_input(block.block, lambda rows: self._enter_block(layer, rows))
        self._on_output(block.attn_norm, lambda rows: self._edit("attn_norm", layer, rows))
        for module in {id(projection.module): projection.module for projection in block.projections}.values():
            self._hook_projection(layer, block, module)
        self._on_input(block.attn_output, lambda rows: self._read_heads(layer, block, rows))
        self._on_output(block.attn_output, lambda rows: self._attention_wrote(layer, block, rows))
        self._on_output(block.attn, lambda rows: self._after_attention(layer, rows))
        self._on_output(block.mlp_norm, lambda rows: self._mlp_input(layer, block, rows))
        for site, module in block.mlp_inputs.items():
            self._on_output(module, lambda rows, site=site: self._edit(site, layer, rows))  # type: ignore[misc]
        self._on_input(block.mlp_output, lambda rows: self._edit("mlp_post", layer, rows))
        self._on_output(block.mlp_output, lambda rows: self._mlp_wrote(layer, rows))
        self._on_output(block.block, lambda rows: self._edit_stream("resid_post", layer, rows))

    def _enter_block(self, layer: int, rows: Tensor) -> Tensor:
        if layer == 0:
            self._keep("embed", rows)
            if self._edges:
                self._edges.wrote(rows)
        stream = self._edit_stream("resid_pre", layer, rows)
        self._streams[layer] = stream
        return stream

    def _hook_projection(self, layer: int, block: Block, module: Any) -> None:
        width = self._shape.head_dim
        mine = [projection for projection in block.projections if projection.module is module]

        def project(rows: Tensor) -> Tensor:
            for part in mine:
                for head in range(part.heads):
                    destination = self._edges.attention(part.kind, layer, head) if self._edges else None
                    if destination is None or self._edges is None:
                        continue
                    normed = _normed(block.attn_norm, self._edges.input(destination))
                    normed = self._edits("attn_norm", layer, normed)
                    columns = slice(part.start + head * width, part.start + (head + 1) * width)
                    weight, bias = weight_of(module)
                    own = normed @ weight[:, columns]
                    rows = rows.clone()
                    rows[..., columns] = own if bias is None else own + bias[columns]
                size = part.heads * width
                self._keep(f"attn_{part.kind}.{layer}", rows[..., part.start : part.start + size])
            return rows

        self._on_output(module, project)

    def _read_heads(self, layer: int, block: Block, rows: Tensor) -> Tensor:
        """Before the output projection: what each head writes follows from it."""
        z = self._edit("attn_z", layer, rows)
        if self._edges:
            weight, bias = weight_of(block.attn_output)
            heads, width = self._shape.num_heads, self._shape.head_dim
            per_head = self._edges.stage.attn_bias == "per_head"
            for head in range(heads):
                part = slice(head * width, (head + 1) * width)
                own = z[..., part] @ weight[part]
                self._edges.wrote(own + bias / heads if per_head and bias is not None else own)
        return z

    def _attention_wrote(self, layer: int, block: Block, rows: Tensor) -> Tensor:
        if self._edges:
            _, bias = weight_of(block.attn_output)
            if bias is not None and self._edges.stage.attn_bias == "separate":
                self._edges.changed(bias.expand_as(rows))
        return self._edit_stream("attn_out", layer, rows)

    def _after_attention(self, layer: int, rows: Tensor) -> Tensor:
        """No module makes the stream between attention and MLP: a change of it is added to attention's output."""
        if not self._edits.has("resid_mid", layer) and f"resid_mid.{layer}" not in self._capture:
            return rows
        middle = self._streams[layer] + rows
        edited = self._edit_stream("resid_mid", layer, middle)
        return rows if edited is middle else rows + (edited - middle)

    def _mlp_input(self, layer: int, block: Block, rows: Tensor) -> Tensor:
        normed = self._edit("mlp_norm", layer, rows)
        destination = self._edges.masked(f"blocks.{layer}.mlp") if self._edges else None
        if destination is None or self._edges is None:
            return normed
        return self._edits("mlp_norm", layer, _normed(block.mlp_norm, self._edges.input(destination)))

    def _mlp_wrote(self, layer: int, rows: Tensor) -> Tensor:
        written = self._edit("mlp_out", layer, rows)
        if self._edges:
            self._edges.wrote(written)
        return written

    def _edit_stream(self, site: str, layer: int, rows: Tensor) -> Tensor:
        """Like `_edit`, at sites whose changes belong to no source of edges."""
        edited = self._edit(site, layer, rows)
        if self._edges and edited is not rows:
            self._edges.changed(edited - rows)
        return edited

    def _edit(self, site: str, layer: int, rows: Tensor) -> Tensor:
        return self._keep(f"{site}.{layer}", self._edits(site, layer, rows))

    def _keep(self, name: str, rows: Tensor) -> Tensor:
        if name in self._capture:
            self.captured[name] = rows.detach().clone()
        return rows

    def _on_input(self, module: Any, change: Callable[[Tensor], Tensor]) -> None:
        """The first argument of a module, which transformers passes by position or as hidden_states."""

        def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            if args:
                return (change(args[0]), *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

        self._handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))

    def _on_output(self, module: Any, change: Callable[[Tensor], Tensor]) -> None:
        """The output of a module, which is a tensor or a tuple that begins with it."""

        def hook(_: Any, args: Any, output: Any) -> Any:
            return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

        self._handles.append(module.register_forward_hook(hook))


def _normed(norm: Any, rows: Tensor) -> Tensor:
    """What a norm makes of other rows, without its hooks."""
    normed: Tensor = norm.forward(rows)
    return normed
