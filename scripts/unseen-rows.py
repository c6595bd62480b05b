"""Sets the token rows of weights/gpt2-stories that its training never saw, and counts how often they are drawn.

    npx sluice quantize weights/gpt2-stories --to q4 --out /tmp/gpt2-stories-q4
    python scripts/unseen-rows.py solve /tmp/gpt2-stories-q4   writes weights/gpt2-stories/model.safetensors
    python scripts/unseen-rows.py check [FOLDER …]             draws 20,000 tokens per start and temperature

Needs torch, transformers, safetensors. FOLDER may be one that `sluice quantize` wrote.

Why: 36,616 of the 50,257 tokens never occur in the training text. They share one row r of the token embedding, which is
the head too, so together they have the probability 36,616 exp(r·h) / (36,616 exp(r·h) + sum of exp of the other logits)
after a final state h. With the first r that was 0.2 % per token, and each such token led to the next: its input row
points where its output row looks.

How: the final LayerNorm gives h = gain * x + bias, and x sums to zero. So for r = -c / gain, r·h = -c sum(bias / gain) is
the same after every state, and, as an input, r is nearly constant and LayerNorm removes most of it. Gradient descent
from there made the row that the search starts from: the one in the file. It changes one to three components at a time, as
long as that lowers what the rows get beyond their bounds: SHARE in float after sampled states and after texts that hold
unseen tokens, Q4_SHARE when r is rounded to 4 bits, which cannot hold such a direction as well. The worst states count
most. To run it again goes on from the row that is there. Every other byte of the file stays.
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
BLOCK = 32
# Logarithms of the odds that a draw falls into the rows.
SHARE = -18.0
Q4_SHARE = -4.0
ROUNDS = 60
TRIALS = 1500

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


def rounded_to_q4(block):
    """What q4 makes of a block of a row: the best of five scales by least squares, then fitted once more."""
    best = (np.inf, 0.0)

    def consider(scale):
        nonlocal best
        scale = float(np.float16(scale))
        if scale != 0:
            error = ((block - np.clip(np.floor(block / scale + 0.5), -8, 7) * scale) ** 2).sum()
            best = min(best, (error, scale))

    largest = block[np.abs(block).argmax()]
    for at in (8, 8.5, 9, 7.5, 7):
        consider(-largest / at)
    codes = np.clip(np.floor(block / best[1] + 0.5), -8, 7)
    consider((block * codes).sum() / (codes * codes).sum())
    return np.clip(np.floor(block / best[1] + 0.5), -8, 7) * best[1]


class States:
    """Final states, and the log odds of the rows after each of them."""

    def __init__(self, states, sums, count):
        self.states = states.numpy().astype(np.float32)
        self.sums = (sums - np.log(count)).numpy().astype(np.float32)

    def odds(self, row):
        return self.states @ row.astype(np.float32) - self.sums

    def worst_and_some(self, row, rng, worst=6000, some=4000):
        """The states to search on: those that are hardest now, and others."""
        order = np.argsort(-self.odds(row))
        chosen = np.concatenate([order[:worst], rng.choice(len(order), some)])
        return self.states[chosen], self.sums[chosen]


def sampled(folder, seed):
    model, unseen = open_model(folder)
    sampler = Sampler(model, unseen, seed)
    drawn = [sampler.draw(sampler.starts(200, kind), 250, 1.0, False) for kind in ("beginning", "odd")]
    return States(torch.cat([each[0] for each in drawn]), torch.cat([each[1] for each in drawn]), len(sampler.unseen))


@torch.no_grad()
def after_unseen(sampler, row):
    """States after 36 texts of 8 tokens, a part of which are unseen: they depend on the row."""
    model, states, sums = sampler.model, [], []
    seed = torch.Generator().manual_seed(9)
    for share in (0.15, 0.5, 1.0):
        ids = sampler.seen[torch.randint(len(sampler.seen), (12, 8), generator=seed)]
        ids[:6, 0] = BOS
        is_unseen = torch.rand(12, 8, generator=seed) < share
        is_unseen[:6, 0] = False
        is_unseen[0, 1] = is_unseen[7, 0] = True
        inputs = torch.where(is_unseen[..., None], torch.tensor(row).float(), model.wte.weight[ids])
        after = model(inputs_embeds=inputs).last_hidden_state.reshape(-1, len(row))
        states.append(after)
        sums.append((after @ sampler.rows.T).logsumexp(-1))
    return States(torch.cat(states), torch.cat(sums), len(sampler.unseen))


def share_of(odds):
    """The probability of the rows, on average."""
    return float((1 / (1 + np.exp(-np.clip(odds, -80, 80)))).mean())


def solve(q4_folder):
    model, unseen = open_model(FOLDER)
    sampler = Sampler(model, unseen, 1)
    plain, coarse = sampled(FOLDER, 1), sampled(q4_folder, 1)
    print(f"{len(plain.sums)} states, {len(coarse.sums)} of q4", flush=True)
    row = sampler.row.double().numpy()
    blocks = range(0, len(row), BLOCK)
    as_q4 = np.concatenate([rounded_to_q4(row[at : at + BLOCK]) for at in blocks])
    rng = np.random.default_rng(2)
    for turn in range(ROUNDS):
        inputs = after_unseen(sampler, row)
        states, sums = plain.worst_and_some(row, rng)
        states, sums = np.concatenate([inputs.states, states]), np.concatenate([inputs.sums, sums])
        q4_states, q4_sums = coarse.worst_and_some(as_q4, rng)
        odds, q4_odds = states @ row.astype(np.float32) - sums, q4_states @ as_q4.astype(np.float32) - q4_sums

        def beyond(odds):
            over = np.maximum(odds - SHARE, 0)
            return 3 * (over * over).mean() + (over[: len(inputs.sums)] ** 2).mean()

        def q4_beyond(odds):
            return (np.maximum(odds - Q4_SHARE, 0) ** 2).mean()

        cost = beyond(odds) + q4_beyond(q4_odds)
        # Now and then something worse is taken, less and less, so that the search leaves what is best only nearby.
        slack = 0.003 * cost * (1 - turn / ROUNDS)
        for _ in range(TRIALS):
            which = rng.choice(len(row), rng.integers(1, 4), replace=False)
            steps = rng.choice([-1, 1], len(which)) * rng.choice([0.25, 0.5, 1, 2, 4, 7], len(which))
            changed = row.copy()
            changed[which] = np.float16(row[which] + steps)
            bound = cost + slack * rng.exponential()
            next_odds = odds + states[:, which] @ (changed - row)[which].astype(np.float32)
            if beyond(next_odds) > bound:
                continue
            next_q4 = as_q4.copy()
            for at in {int(i) // BLOCK * BLOCK for i in which}:
                next_q4[at : at + BLOCK] = rounded_to_q4(changed[at : at + BLOCK])
            moved = np.flatnonzero(next_q4 != as_q4)
            next_q4_odds = q4_odds + q4_states[:, moved] @ (next_q4 - as_q4)[moved].astype(np.float32)
            next_cost = beyond(next_odds) + q4_beyond(next_q4_odds)
            if next_cost < bound:
                row, as_q4, odds, q4_odds, cost = changed, next_q4, next_odds, next_q4_odds, next_cost
        if turn % 5 == 4:
            share, q4_share = share_of(plain.odds(row)), share_of(coarse.odds(as_q4))
            print(f"round {turn + 1}: norm {np.linalg.norm(row):.0f}, float {share:.1e}, q4 {q4_share:.1e}", flush=True)
    write(row.astype(np.float16), unseen.numpy())


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
        solve(pathlib.Path(folders.pop(0)))
    check([pathlib.Path(folder) for folder in folders] or [FOLDER])
