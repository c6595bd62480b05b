"""Makes test/data/lens.json: the logit lens of a small model, as transformers' hidden states give it, in float64.

    python scripts/lens-fixtures.py        (torch, transformers)
"""

import json
import pathlib

import torch
import transformers

ROOT = pathlib.Path(__file__).parent.parent
IDS = [1, 403, 407, 261, 378, 432, 383]
TOP = 3

model = transformers.AutoModelForCausalLM.from_pretrained(ROOT / "weights/stories260K", dtype=torch.float64)
model.eval()
with torch.no_grad():
    # The last hidden state has gone through the final norm already.
    kept = []
    model.model.norm.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    hidden = model(torch.tensor([IDS]), output_hidden_states=True).hidden_states
    streams = [*hidden[:-1], kept[0]]
    layers = []
    for stream in streams:
        predicted = torch.log_softmax(model.lm_head(model.model.norm(stream))[0], -1)
        top = predicted.exp().topk(TOP, -1)
        layers.append(
            {
                "tokens": top.indices.tolist(),
                "probabilities": [[round(p, 9) for p in row] for row in top.values.tolist()],
                "entropy_nats": [round(e, 8) for e in (-predicted.exp() * predicted).sum(-1).tolist()],
            }
        )
text = json.dumps({"transformers": transformers.__version__, "ids": IDS, "layers": layers}, separators=(",", ":"))
(ROOT / "test/data/lens.json").write_text(text + "\n")
