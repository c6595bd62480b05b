"""Where the fixtures go, and how they are written."""
import base64
import importlib.metadata
import json
import os

import numpy as np

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")
OUT = os.path.join(ROOT, "test", "data", "gguf")
VERSIONS = {name: importlib.metadata.version(name) for name in ("gguf", "tokenizers", "torch", "transformers")}


def write_json(name, data):
    with open(os.path.join(OUT, name), "w") as file:
        file.write(json.dumps({"made_with": VERSIONS, **data}, separators=(",", ":"), ensure_ascii=False))
        file.write("\n")


def floats(values):
    return base64.b64encode(np.asarray(values, np.float32).tobytes()).decode()
