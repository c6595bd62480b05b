"""Step 1 of the matrix: writes the models, their bundles and the cases into a folder.

    python prepare.py FOLDER WEIGHTS

FOLDER/models.json lists the models, FOLDER/NAME/cases.json the cases of one: what to run, in which folder. A case with
`as` computes the same as another one, in another way.
"""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from foreign_files import write_foreign
from sluice_bundles import Bundle, ModelShape
from sluice_bundles.site_names import sites_of
from stage_sweep import Swept, bakeable, mixture, sweep
from tiny_models import MODELS, OracleModel, make

MIXTURES = 5


def main(out: Path, weights: Path) -> None:
    listed = []
    for model in MODELS:
        seed = zlib.crc32(model.name.encode())
        (out / model.name).mkdir(parents=True)
        folder = out / model.name / "model"
        if model.config is None:
            folder = weights / model.name
        else:
            make(model, folder, seed)
        shape = ModelShape.of(folder)
        rng = np.random.default_rng(seed)
        cases = Cases(model, shape, rng)
        if model.imports:
            write_foreign(out / model.name / "foreign", shape)
        else:
            cases.add_all()
        for name, bundle in cases.bundles.items():
            bundle.write(out / model.name / name)
        (out / model.name / "cases.json").write_text(json.dumps(cases.cases))
        listed.append(
            {"name": model.name, "title": model.title, "imports": model.imports, "given": model.config is None}
        )
    (out / "models.json").write_text(json.dumps(listed))


class Cases:
    """The cases of a model and the bundles they use, by file."""

    def __init__(self, model: OracleModel, shape: ModelShape, rng: np.random.Generator) -> None:
        self.cases: list[dict[str, Any]] = []
        self.bundles: dict[str, Bundle] = {}
        self._model, self._shape, self._rng = model, shape, rng
        self._tokens = self._draw(model.tokens)
        self._prompt = model.tokens * 2 // 3

    def add_all(self) -> None:
        model = self._model
        self._add("logits", self._tokens)
        if model.long:
            self._add("logits", self._draw(model.long))
        layers = range(self._shape.num_layers)
        names = [entry["site"] for entry in sites_of(self._shape)]
        outside = ("embed", "final_norm")
        sites = [name for name in names if name in outside]
        sites += [f"{name}.{layer}" for name in names if name not in outside for layer in layers]
        self._add("captures", self._tokens, captures=sites)
        if model.full:
            for swept in sweep(self._shape, self._tokens, self._rng):
                self._add_bundle(swept)
        for _ in range(MIXTURES if model.full else MIXTURES // 2):
            self._add_bundle(Swept("mixed", mixture(self._shape, self._tokens, self._rng)))
            mixed_case = self.cases[-1]
            self.cases.append({**mixed_case, "id": str(len(self.cases)), "column": "cached", "as": mixed_case["id"]})
        mixed = list(self.bundles)[-1:]
        for column in ("q8", "q4", "mlx4"):
            self._add(column, self._tokens, model=column)
            for name in mixed:
                self._add(column, self._tokens, model=column, bundle=name)
        self.bundles["baked.safetensors"] = bakeable(self._shape, self._rng)
        self._add("baked", self._tokens, model="baked", bundle="baked.safetensors")

    def _draw(self, count: int) -> list[int]:
        """Random ids; the last but one is met before."""
        tokens = [int(token) for token in self._rng.integers(3, self._shape.vocab_size, count)]
        tokens[-2] = tokens[4]
        return tokens

    def _add_bundle(self, swept: Swept) -> None:
        name = next((name for name, bundle in self.bundles.items() if bundle is swept.bundle), None)
        if name is None:
            name = f"{len(self.bundles)}.safetensors"
            self.bundles[name] = swept.bundle
        self._add(swept.column, self._tokens, bundle=name, positions=swept.positions)

    def _add(self, column: str, tokens: list[int], **more: Any) -> None:
        case = {"column": column, "model": "model", "bundle": None, "positions": {}, "captures": [], **more}
        prompt = min(self._prompt, len(tokens))
        self.cases.append({"id": str(len(self.cases)), "tokens": tokens, "prompt_length": prompt, **case})


if __name__ == "__main__":
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
