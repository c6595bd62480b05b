"""Writes test/data/foreign/pyreft-*: small DiReFT and bias folders in the layouts that pyreft and EasySteer save.

    python scripts/reft-fixtures.py      (with torch; pyreft is not needed)

`direft` has the state dict of a module whose rotation is PyTorch's orthogonal parametrization, as pyreft saves it;
`direft-whole` has the rotation itself, as EasySteer does; `bias` is a vector. `expected.json` has rows h and what each
intervention makes of them, by its own formula in float64.
"""

import json
from collections import OrderedDict
from pathlib import Path

import torch

FOLDER = Path(__file__).parents[1] / "test" / "data" / "foreign"
WIDTH, RANK, LAYER = 8, 2, 1


class Rotation(torch.nn.Module):
    """pyreft's LowRankRotateLayer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(WIDTH, RANK))
        torch.nn.init.orthogonal_(self.weight)


def folder(name: str, component: str, type_name: str, state: OrderedDict, rank: int | None) -> None:
    target = FOLDER / f"pyreft-{name}"
    target.mkdir(exist_ok=True)
    key = f"layer_{LAYER}_comp_{component}_unit_pos_nunit_1#0"
    torch.save(state, target / f"intkey_{key}.bin")
    config = {
        "intervention_constant_sources": [True],
        "intervention_dimensions": [WIDTH],
        "intervention_types": [f"<class '{type_name}'>"],
        "mode": "parallel",
        "representations": [[LAYER, component, "pos", 1, rank, *[None] * 9]],
        "sorted_keys": [key],
    }
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")


torch.manual_seed(11)
rotation = torch.nn.utils.parametrizations.orthogonal(Rotation())
source = torch.nn.Linear(WIDTH, RANK).to(torch.bfloat16)
with torch.no_grad():
    # As after training: the parametrization has moved from where it began.
    original = rotation.parametrizations.weight.original
    original += torch.randn(WIDTH, RANK).tril(-1) * 0.4
bias = torch.randn(WIDTH)
h = torch.randn(3, WIDTH, dtype=torch.float64)
R, W, b = rotation.weight.detach().double(), source.weight.detach().double(), source.bias.detach().double()

state = OrderedDict((f"rotate_layer.{name}", value) for name, value in rotation.state_dict().items())
state.update((f"learned_source.{name}", value) for name, value in source.state_dict().items())
folder("direft", "block_output", "pyreft.interventions.DireftIntervention", state, RANK)
whole = OrderedDict([*source.state_dict().items(), ("rotate_layer", rotation.weight.detach())])
folder("direft-whole", "mlp_output", "easysteer.reft.pyreft.reft.algorithms.direft.DireftIntervention", whole, RANK)
bias_type = "easysteer.reft.pyreft.reft.algorithms.bias.BiasIntervention"
folder("bias", "block_input", bias_type, OrderedDict(bias=bias), None)

direft = h + (h @ W.T + b) @ R.T
expected = {
    "h": h.tolist(),
    "direft": direft.tolist(),
    "direft-whole": direft.tolist(),
    "bias": (h + bias.double()).tolist(),
    "torch": torch.__version__,
}
(FOLDER / "pyreft-expected.json").write_text(json.dumps(expected) + "\n")
