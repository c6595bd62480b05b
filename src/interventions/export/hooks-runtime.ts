/**
 * The part of an exported Python file that is the same in all: stages as forward hooks of transformers' modules. It is short on
 * purpose, to be read by those who run it; python/ has the same as a package, with checks and captures.
 */
export const HOOKS_RUNTIME = `

class apply:
    """The stages on a model while a with block lasts; calls and generate work as ever, with and without a cache.

    strengths and alphas replace the stages' own, by id. prompt_length says how many tokens count as the prompt; by default
    those of the first call, which later calls with its cache continue.
    """

    def __init__(self, model, strengths=None, alphas=None, prompt_length=None):
        for key in [*(strengths or {}), *(alphas or {})]:
            if key not in [stage["id"] for stage in STAGES]:
                raise KeyError(f"No stage is called {key!r}")
        self.model = model
        self.base = getattr(model, "base_model", model)
        for name, size in SHAPE.items():
            found = getattr(model.config, name, None)
            if found is not None and found != size:
                raise ValueError(f"The stages were made for a model with {name} {size}, and this one has {found}")
        tensors = load_file(str(Path(__file__).with_suffix(".hooks.safetensors")))
        self.stages = []
        for stage in STAGES:
            own = {key.removeprefix(stage["id"] + "."): t for key, t in tensors.items() if key.startswith(stage["id"] + ".")}
            strength = (strengths or {}).get(stage["id"], stage["strength"])
            alpha = (alphas or {}).get(stage["id"], stage.get("alpha", 1.0))
            self.stages.append({**stage, "strength": strength, "alpha": alpha, "tensors": own})
        masks = [stage for stage in self.stages if stage["kind"] == "edge_mask"]
        self.mask = masks[0] if masks else None
        self.prompt_length = prompt_length
        self.prompt = None
        self.in_generate = False
        self.handles = []

    def __enter__(self):
        plain = MODEL_TYPE == "gpt2"
        self.handles.append(self.base.register_forward_pre_hook(self._begin, with_kwargs=True))
        for layer, block in enumerate(self.base.h if plain else self.base.layers):
            self._hook(layer, block, plain)
        if self.mask:
            norm = self.base.ln_f if plain else self.base.norm
            self._input(norm, lambda rows: self._masked("logits", rows))
        if hasattr(self.model, "generate"):
            self.generate = self.model.generate

            @functools.wraps(self.generate)
            def generate(*args, **kwargs):
                self.in_generate, self.prompt = True, None
                try:
                    return self.generate(*args, **kwargs)
                finally:
                    self.in_generate, self.prompt = False, None

            self.model.generate = generate
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()
        self.handles.clear()
        self.model.__dict__.pop("generate", None)

    # Which tokens: absolute positions, the same with and without a cache. Padding has none.

    def _begin(self, module, args, kwargs):
        given = inspect.signature(type(module).forward).bind_partial(module, *args, **kwargs).arguments
        given = {**given.pop("kwargs", {}), **given}
        self.tokens = given.get("input_ids")
        content = self.tokens if self.tokens is not None else given["inputs_embeds"]
        rows, length = content.shape[:2]
        cache = given.get("cache", given.get("past_key_values"))  # the names in new and older transformers
        past = 0 if cache is None else int(cache.get_seq_length())
        mask = given.get("attention_mask")
        if isinstance(mask, torch.Tensor) and mask.dim() == 2 and mask.shape[1] >= past + length:
            real = mask[:, : past + length].long()
            self.position = (real.cumsum(-1) - 1).masked_fill(real == 0, -1)[:, past:]
        elif given.get("position_ids") is not None:
            self.position = given["position_ids"].reshape(-1, length).expand(rows, length)
        else:
            self.position = torch.arange(past, past + length, device=content.device).expand(rows, length)
        if self.prompt_length is not None:
            self.prompt = self.prompt_length
        elif self.prompt is None or len(self.prompt) != rows or (past == 0 and not self.in_generate):
            self.prompt = self.position.amax(-1, keepdim=True) + 1
        self.written, self.other = [], 0.0

    def _acts(self, where):
        at, back = self.position, self.position - self.prompt
        if where == "all":
            return at >= 0
        if where == "prompt":
            return back < 0
        if where == "generated":
            return back >= 0
        if where == "last_prompt_onward":
            return back >= -1
        if isinstance(where, list):
            return _isin(at, [n for n in where if n >= 0]) | _isin(back, [n for n in where if n < 0])
        if "tokens" in where:
            return _isin(self.tokens, where["tokens"])
        if "any" in where:
            return functools.reduce(torch.logical_or, [self._acts(part) for part in where["any"]])
        if "not" in where:
            return ~self._acts(where["not"])
        start, end = where["from"], where.get("to")
        inside = back >= start if start < 0 else at >= start
        if end is None:
            return inside
        if end == "P":
            return inside & (back < 0)
        return inside & (back < end if end < 0 else at < end)

    # What is done to the rows of a site: a + s·((scale − 1)·a + shift), or h + s·(b − g(h·Vᵀ − c)·U).

    def _edit(self, site, layer, rows):
        for stage in self.stages:
            if stage.get("site") != site or layer not in stage["layers"] or stage["strength"] == 0:
                continue
            wide = rows if rows.dtype == torch.float64 else rows.float()
            own = {
                name: t.to(wide)
                for name in ("scale", "shift", "v", "u", "c", "b")
                if (t := stage["tensors"].get(f"{layer}.{name}")) is not None
            }
            change = torch.zeros_like(wide)
            if "scale" in own:
                change = change + (own["scale"] - 1) * wide
            if "shift" in own:
                change = change + own["shift"]
            if "v" in own:
                change = change - _gate(stage["gate"], wide @ own["v"].T - own["c"]) @ own["u"]
            if "b" in own:
                change = change + stage["alpha"] * own["b"]
            edited = (wide + stage["strength"] * change).to(rows.dtype)
            acts = (self._acts(stage["positions"]) & (self.position >= 0)).unsqueeze(-1)
            rows = torch.where(acts.to(rows.device), edited, rows)
        return rows

    # Edges: what a destination reads is Σ m'·out + (1 − m')·replacement over the sources, and what no source wrote.

    def _source(self, rows):
        if self.mask:
            self.written.append(rows)

    def _stream(self, site, layer, rows):
        edited = self._edit(site, layer, rows)
        if self.mask and edited is not rows:
            self.other = self.other + (edited - rows)
        return edited

    def _masked(self, destination, rows):
        """What the destination reads, before its norm: rows, if none of its edges is masked."""
        number = self.mask["destinations"].index(destination) if destination in self.mask["destinations"] else -1
        if number < 0:
            return rows
        out = torch.stack(self.written)
        m = self.mask["tensors"]["mask"][number, : len(out)].to(out)
        kept = 1 - self.mask["strength"] * (1 - m)
        x = torch.tensordot(kept, out, 1)
        kind = "logits" if destination == "logits" else "mlp" if destination.endswith(".mlp") else "attn"
        constants = self.mask["tensors"].get("constants")
        if constants is not None and self.mask["replace"][kind] == "constants":
            x = x + (1 - kept) @ constants[: len(out)].to(out)
        return x + self.other

    def _projected(self, layer, norm, module, parts, rows):
        """Queries, keys and values of heads whose input is masked. parts: kind, first column and heads of each."""
        for kind, start, heads in parts:
            for head in range(heads):
                name = f"blocks.{layer}.{self.mask['inputs'].get(kind, 'head')}.{head}"
                if name not in self.mask["destinations"]:
                    continue
                normed = self._edit("attn_norm", layer, norm.forward(self._masked(name, rows)))
                columns = slice(start + head * HEAD_DIM, start + (head + 1) * HEAD_DIM)
                weight, bias = _weight(module)
                own = normed @ weight[:, columns]
                rows = rows.clone()
                rows[..., columns] = own if bias is None else own + bias[columns]
        return rows

    # Where the sites are.

    def _hook(self, layer, block, plain):
        attn, mlp = (block.attn, block.mlp) if plain else (block.self_attn, block.mlp)
        attn_norm, mlp_norm = (block.ln_1, block.ln_2) if plain else (block.input_layernorm, block.post_attention_layernorm)
        attn_out, mlp_out = (attn.c_proj, mlp.c_proj) if plain else (attn.o_proj, mlp.down_proj)
        stream = {}

        def enter(rows):
            if layer == 0:
                self._source(rows)
            stream["in"] = self._stream("resid_pre", layer, rows)
            return stream["in"]

        def heads(rows):
            z = self._edit("attn_z", layer, rows)
            if self.mask:
                weight, bias = _weight(attn_out)
                for head in range(NUM_HEADS):
                    part = slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
                    own = z[..., part] @ weight[part]
                    shared = self.mask["attn_bias"] == "per_head" and bias is not None
                    self._source(own + bias / NUM_HEADS if shared else own)
                if bias is not None and self.mask["attn_bias"] == "separate":
                    self.other = self.other + bias
            return z

        def middle(rows):
            whole = stream["in"] + rows
            edited = self._stream("resid_mid", layer, whole)
            return rows if edited is whole else rows + (edited - whole)

        def mlp_input(rows):
            rows = self._edit("mlp_norm", layer, rows)
            name = f"blocks.{layer}.mlp"
            if not self.mask or name not in self.mask["destinations"]:
                return rows
            return self._edit("mlp_norm", layer, mlp_norm.forward(self._masked(name, rows)))

        def written(rows):
            rows = self._edit("mlp_out", layer, rows)
            self._source(rows)
            return rows

        self._input(block, enter)
        self._output(attn_norm, lambda rows: self._edit("attn_norm", layer, rows))
        if self.mask:
            if plain:
                parts = [(kind, i * NUM_HEADS * HEAD_DIM, NUM_HEADS) for i, kind in enumerate("qkv")]
                projections = [(attn.c_attn, parts)]
            else:
                counts = {"q": NUM_HEADS, "k": NUM_KV_HEADS, "v": NUM_KV_HEADS}
                projections = [(getattr(attn, f"{kind}_proj"), [(kind, 0, counts[kind])]) for kind in "qkv"]
            for module, parts in projections:
                self._output(module, functools.partial(self._projected, layer, attn_norm, module, parts))
        self._input(attn_out, heads)
        self._output(attn_out, lambda rows: self._stream("attn_out", layer, rows))
        self._output(attn, middle)
        self._output(mlp_norm, mlp_input)
        inputs = {"mlp_pre": mlp.c_fc} if plain else {"gate_pre": mlp.gate_proj, "up": mlp.up_proj}
        for site, module in inputs.items():
            self._output(module, functools.partial(self._edit, site, layer))
        self._input(mlp_out, lambda rows: self._edit("mlp_post", layer, rows))
        self._output(mlp_out, written)
        self._output(block, lambda rows: self._stream("resid_post", layer, rows))

    def _input(self, module, change):
        def hook(_, args, kwargs):
            if args:
                return (change(args[0]), *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

        self.handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))

    def _output(self, module, change):
        def hook(_, args, output):
            return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

        self.handles.append(module.register_forward_hook(hook))


def _gate(gate, y):
    if gate == "identity":
        return y
    return y.clamp(min=0) if gate == "relu" else y - y.clamp(*gate["clamp"])


def _isin(array, values):
    return torch.isin(array, torch.tensor(values, dtype=array.dtype, device=array.device))


def _weight(module):
    """[in, out], and the bias; GPT-2's Conv1D has its weight so."""
    return (module.weight if type(module).__name__ == "Conv1D" else module.weight.T), module.bias
`;
