"""Sets the token rows of weights/gpt2-stories that its training never saw, and counts how often they are drawn.

    python scripts/unseen-rows.py solve            writes weights/gpt2-stories/model.safetensors
    python scripts/unseen-rows.py check [FOLDER …] draws 20,000 tokens per folder, start and temperature

Needs torch, transformers, safetensors. FOLDER may be one that `sluice quantize` wrote (q8 or q4).

Why: 36,616 of the 50,257 tokens never occur in the training text. They share one row r of the token embedding, which is
the head too, so together they have the probability 36,616 exp(r·h) / (36,616 exp(r·h) + sum of exp of the other logits)
after a final state h. With the first r that was 0.2 % per token, and each such token led to the next: its input row
points where its output row looks.

How: the final LayerNorm gives h = gain * x + bias, and x sums to zero. So for r = -c / gain, r·h = -c sum(bias / gain) is
the same after every state, and, as an input, r is nearly constant and LayerNorm removes most of it. That is the start.
Then r moves by gradient descent until r·h lies MARGIN below the logsumexp of the other logits, after sampled states and
after texts that hold unseen tokens, and, with less weight, until r rounded to q4 is rarely drawn too. Every other byte of
the file stays. Sampling and descent have fixed seeds. The committed row went through a further search, which is not here.
"""

import json
import pathlib
import struct
import sys

import numpy as np
import torch
import transformers
from safetensors.torch import load_file

FOLDER = pathlib.Path(__file__).parent.parent / "weights/gpt2-stories"
BOS = 50256
MARGIN = 33
STEPS = 600
Q4_WEIGHT = 5
BLOCK = 32

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()


def dequantized(tensor, like):
    """A matrix of a folder that `sluice quantize` wrote, in the float model's orientation (docs/quantization.md)."""
    outputs, blocks, size = tensor.shape
    stored = tensor.numpy()
    scale = stored[..., :2].copy().view(np.float16).astype(np.float64)
    if size == 2 + BLOCK:
        codes = stored[..., 2:].copy().view(np.int8)
    else:
        halves = np.stack([stored[..., 2:] & 15, stored[..., 2:] >> 4], -1).reshape(outputs, blocks, BLOCK)
        codes = halves.astype(np.int8) - 16 * (halves > 7)
    weights = torch.tensor((codes * scale).reshape(outputs, -1))
    # GPT-2's Conv1D is [inputs, outputs]; the embedding is not.
    return weights if like == "wte.weight" else weights.T


def open_model(folder):
    """The model in float32, and which of its tokens share one row."""
    config = transformers.AutoConfig.from_pretrained(FOLDER)
    model = transformers.GPT2LMHeadModel(config).eval().requires_grad_(False)
    tensors = load_file(folder / "model.safetensors")
    state = {
        name: (dequantized(tensor, name) if tensor.dtype == torch.uint8 else tensor).float().contiguous()
        for name, tensor in tensors.items()
    }
    model.transformer.load_state_dict(state)
    _, which, counts = torch.unique(state["wte.weight"], dim=0, return_inverse=True, return_counts=True)
    return model.transformer, which == counts.argmax()


class Sampler:
    """Draws from a model; the unseen tokens share one logit, and count as one class, the last."""

    def __init__(self, model, unseen, seed):
        self.model = model
        self.unseen = unseen.nonzero()[:, 0]
        self.seen = (~unseen).nonzero()[:, 0]
        self.rows = model.wte.weight[self.seen]
        self.row = model.wte.weight[self.unseen[0]]
        self.seed = torch.Generator().manual_seed(seed)

    def starts(self, count, kind):
        """Prompts: the beginning of a text, four seen tokens at random, or four of which some are unseen."""
        if kind == "beginning":
            return torch.full((count, 1), BOS)
        ids = self.seen[torch.randint(len(self.seen), (count, 4), generator=self.seed)]
        if kind == "odd":
            return ids
        return torch.where(torch.rand(count, 4, generator=self.seed) < 0.5, self.any_unseen(count, 4), ids)

    def any_unseen(self, *shape):
        return self.unseen[torch.randint(len(self.unseen), shape, generator=self.seed)]

    @torch.no_grad()
    def draw(self, ids, steps, temperature, also_unseen):
        """States that were drawn from, the logsumexp of the seen logits after them, and how many draws were unseen."""
        cache, states, sums, drawn, shares = None, [], [], 0, []
        for _ in range(steps):
            out = self.model(ids, past_key_values=cache, use_cache=True)
            cache, state = out.past_key_values, out.last_hidden_state[:, -1]
            logits = state @ self.rows.T
            states.append(state)
            sums.append(logits.logsumexp(-1))
            together = state @ self.row / temperature + np.log(len(self.unseen))
            classes = torch.cat([logits / temperature, together[:, None]], -1).softmax(-1)
            shares.append(classes[:, -1].clone())
            chosen = torch.multinomial(classes if also_unseen else classes[:, :-1], 1, generator=self.seed)[:, 0]
            is_unseen = chosen == len(self.seen)
            drawn += int(is_unseen.sum())
            ids = torch.where(is_unseen, self.any_unseen(len(chosen)), self.seen[chosen % len(self.seen)])[:, None]
        return torch.cat(states), torch.cat(sums), drawn, torch.cat(shares)


def check(folders):
    for folder in folders:
        model, unseen = open_model(folder)
        print(f"{folder}: {int(unseen.sum())} rows, norm {float(model.wte.weight[unseen][0].norm()):.1f}")
        for seed, kind in enumerate(("beginning", "odd", "unseen"), start=101):
            for temperature in (1.0, 0.8):
                sampler = Sampler(model, unseen, seed)
                _, _, drawn, shares = sampler.draw(sampler.starts(80, kind), 250, temperature, True)
                print(
                    f"  starts {kind}, temperature {temperature}: {drawn} of {shares.numel()} unseen; "
                    f"probability {float(shares.mean()):.1e}, at most {float(shares.max()):.1e}",
                    flush=True,
                )


def rounded_to_q4(row):
    """Roughly what q4 makes of a row: 4 bits per number, one scale per block."""
    blocks = row.view(-1, BLOCK)
    largest = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
    codes = torch.floor(-8 * blocks / largest + 0.5).clamp(-8, 7)
    scale = (blocks * codes).sum(1, keepdim=True) / (codes * codes).sum(1, keepdim=True)
    return (torch.floor(blocks / scale + 0.5).clamp(-8, 7) * scale).view(-1)


def solve():
    model, unseen = open_model(FOLDER)
    sampler = Sampler(model, unseen, 1)
    states, sums = [], []
    for kind in ("beginning", "odd"):
        drawn = sampler.draw(sampler.starts(200, kind), 250, 1.0, False)
        states.append(drawn[0])
        sums.append(drawn[1])
    states, sums = torch.cat(states), torch.cat(sums)
    print(f"{len(states)} states", flush=True)
    gain, bias = model.ln_f.weight, model.ln_f.bias
    row = (-22 / (bias / gain).sum() / gain).clone().requires_grad_(True)
    optimizer = torch.optim.Adam([row])
    many = np.log(len(sampler.unseen))
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = 0.3 * (1 - step / STEPS) + 0.003
        over = torch.relu(states @ row - sums + MARGIN)
        coarse = row + (rounded_to_q4(row) - row).detach()
        q4 = torch.nn.functional.softplus((states[::4] @ coarse - sums[::4] + many) / 4).mean() * 4
        loss = 10 * (over * over).mean() + 0.3 * over.amax() + Q4_WEIGHT * q4
        if step % 10 == 0:
            share = (0.1, 0.5, 1.0)[step // 10 % 3]
            ids = sampler.seen[torch.randint(len(sampler.seen), (4, 8), generator=sampler.seed)]
            is_unseen = torch.rand(4, 8, generator=sampler.seed) < share
            inputs = torch.where(is_unseen[..., None], row, model.wte.weight[ids])
            after = model(inputs_embeds=inputs).last_hidden_state
            over = torch.relu(after @ row - (after @ sampler.rows.T).logsumexp(-1) + MARGIN)
            loss = loss + (over * over).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 99:
            print(f"step {step + 1}: loss {float(loss):.3f}, norm {float(row.norm()):.1f}", flush=True)
    write(row.detach().numpy().astype(np.float16), unseen.numpy())


def write(row, unseen):
    """Replaces the unseen rows in the file, and nothing else."""
    path = FOLDER / "model.safetensors"
    content = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", content[:8])
    entry = json.loads(content[8 : 8 + length])["wte.weight"]
    begin, end = (8 + length + offset for offset in entry["data_offsets"])
    table = np.frombuffer(content, np.float16, (end - begin) // 2, begin).reshape(entry["shape"])
    table[unseen] = row
    path.write_bytes(content)


if __name__ == "__main__":
    command, *folders = sys.argv[1:] or ["check"]
    if command == "solve":
        solve()
    check([pathlib.Path(folder) for folder in folders] or [FOLDER])
