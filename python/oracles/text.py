"""What the libraries make of texts and conversations: the Rust `tokenizers`, and jinja2 as transformers sets it up.

    python text.py FOLDER

Writes FOLDER/text.json for scripts/oracles/text.ts: the corpus of test/data with results computed now, and random
tokenizer.json files and templates of seeds that no committed test has.
"""

from __future__ import annotations

import importlib.util
import json
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from tokenizers import Tokenizer

_ROOT = Path(__file__).parents[2]
_DATA = _ROOT / "test" / "data"
SEED = 2026
TOKENIZERS = 200
EXPRESSIONS, TEMPLATES = 300, 60

# Texts that tokenizers treat differently from one another, beside the corpus of llama.cpp.
HARD = [
    "",
    " ",
    "=" * 300,
    "it's I'LL we've 'tis ''''s 'ſ",
    "  \n\n \t x  \r\n y \u00a0\u3000z ",
    "汉字かな交じり文 한국어 ภาษาไทย العربية עברית हिन्दी",
    "👩‍👩‍👧‍👦🏳️‍🌈🇩🇪 e\u0301é\u0327 ﬁ½²Ⅷ٣",
    "\u0000\u0001\u001b[0m\u007f\u00ad\u200b\u200d",
    "\ufeffcafé über 3.14159 1,000,000 <s></s>",
]

Json = dict[str, Any]


def module_of(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem.replace("-", "_"), path)
    if spec is None or spec.loader is None:
        raise ImportError(str(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tokenizer_cases() -> Iterator[Json]:
    """Files with `encode` (text, ids with and without special tokens) and `decode` (ids, text without and with)."""
    texts = (_DATA / "gpt2-tokenizer" / "inputs.txt").read_text("utf-8").split("\n__ggml_vocab_test__\n") + HARD
    corpus = {"stories260K": json.loads((_ROOT / "weights" / "stories260K" / "tokenizer.json").read_text("utf-8"))}
    for path in sorted((_DATA / "tokenizers" / "samples").glob("*.json")):
        sample = json.loads(path.read_text("utf-8"))
        corpus[path.stem] = sample["tokenizer"]
        texts += [case["text"] for case in sample["cases"]]
    for file in corpus.values():
        tokenizer = Tokenizer.from_str(json.dumps(file))
        encoded = [(text, tokenizer.encode(text), tokenizer.encode(text, add_special_tokens=False)) for text in texts]
        yield {
            "group": "corpus",
            "tokenizer": file,
            "encode": [[text, framed.ids, plain.ids] for text, framed, plain in encoded],
            "decode": [
                [framed.ids, tokenizer.decode(framed.ids), tokenizer.decode(framed.ids, skip_special_tokens=False)]
                for _, framed, _ in encoded
            ],
        }
    maker = module_of(_DATA / "tokenizers" / "make-random.py").Maker(SEED)
    for _ in range(TOKENIZERS):
        file = maker.file()
        if "encode" in file:
            yield {"group": "random", **file}


def template_cases() -> Iterator[Json]:
    """Templates with variables and the text; null: refused."""
    sys.path.insert(0, str(_ROOT / "scripts" / "jinja"))
    warnings.simplefilter("ignore")
    from environment import render

    conversations = json.loads((_DATA / "jinja" / "conversations.json").read_text("utf-8"))
    specials = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    for path in sorted((_DATA / "jinja").glob("*.json")):
        sample = json.loads(path.read_text("utf-8"))
        for chat in conversations.values() if "template" in sample else ():
            for prompt in (False, True):
                chosen = {"tools": None, "documents": None, **chat, "add_generation_prompt": prompt}
                variables = {**specials, **chosen}
                text = render(sample["template"], variables)
                yield {"group": "corpus", "template": sample["template"], "variables": variables, "text": text}
    for template, variables in _random_templates():
        text = _bounded(render, template, variables)
        if text is not TimeoutError and "0x" not in (text or "").lower():
            yield {"group": "random", "template": template, "variables": variables, "text": text}


def _random_templates() -> Iterator[tuple[str, Json]]:
    from environment import render
    from generate import Generator

    for seed in range(SEED, SEED + EXPRESSIONS + TEMPLATES):
        generator = Generator(seed)
        variables = generator.variables()
        if seed < SEED + EXPRESSIONS:
            template = "{{ " + generator.expr(3) + " }}"
        else:
            generator.works = lambda part, own=variables: isinstance(_bounded(render, f"{{{{ {part} }}}}", own), str)
            template = generator.template()
        if len(template) < 1500:
            yield template, variables


def _bounded(render: Any, template: str, variables: Json) -> Any:
    """What is rendered within a second; `TimeoutError` for what takes longer or too much."""

    def late(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 1)
    try:
        return render(template, variables)
    except (TimeoutError, RecursionError, MemoryError):
        return TimeoutError
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    found = {"tokenizers": list(tokenizer_cases()), "templates": list(template_cases())}
    (Path(sys.argv[1]) / "text.json").write_text(json.dumps(found), "utf-8")
