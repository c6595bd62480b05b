"""Random tokenizer.json files with what the Rust library makes of texts and ids.

    python test/data/tokenizers/make-random.py --seed 1 --count 60 > test/data/tokenizers/random.json

Needs the Python package `tokenizers`. Only models, post-processors and decoders vary: the steps before the model have
fixtures of their own. A null stands for an error or a panic of the library.
"""
import argparse
import contextlib
import json
import os
import random

import tokenizers
from tokenizers import Tokenizer

ALPHABET = ["a", "b", "c", "é", "ß", "中", "🦙", "▁", " ", ".", "'"]
BYTES = [f"<0x{b:02X}>" for b in range(256)]


@contextlib.contextmanager
def quiet():
    """The library prints panics to the process's standard error."""
    saved = os.dup(2)
    with open(os.devnull, "w") as null:
        os.dup2(null.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def attempt(call):
    with quiet():
        try:
            return call()
        except BaseException:
            return None


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def flip(self, p=0.5):
        return self.r.random() < p

    def text(self, most=12):
        return "".join(self.r.choice(ALPHABET + ["z", "\n", "<0x41>", "<s>", "<x>"]) for _ in range(self.r.randint(0, most)))

    def bpe(self):
        r = self.r
        prefix = r.choice([None, None, None, "", "##"])
        suffix = r.choice([None, None, None, "", "</w>"])
        tokens = [c for c in ALPHABET if self.flip(0.8)]
        if prefix:
            tokens += [prefix + c for c in ALPHABET if self.flip(0.8)]
        if suffix:
            tokens += [c + suffix for c in ALPHABET if self.flip(0.8)]
        if prefix and suffix:
            tokens += [prefix + c + suffix for c in ALPHABET if self.flip(0.8)]
        vocab = list(dict.fromkeys(tokens or ["a"]))
        merges = []
        for _ in range(r.randint(0, 40)):
            left, right = r.choice(vocab), r.choice(vocab)
            if prefix and not right.startswith(prefix):
                continue
            whole = left + right[len(prefix or ""):]
            if " " in left + right and self.flip(0.9):
                continue
            merges.append((left, right))
            if whole not in vocab:
                vocab.append(whole)
        special = [t for t in ["<unk>", "<s>"] if self.flip(0.7)]
        vocab += special
        if self.flip(0.3):
            vocab += [b for b in BYTES if self.flip(0.97)]
        ids = list(range(len(vocab)))
        if self.flip(0.4):
            r.shuffle(ids)
        as_pairs = self.flip() or any(" " in a + b for a, b in merges)
        return {
            "type": "BPE", "dropout": None, "unk_token": r.choice([None, None, "<unk>"]),
            "continuing_subword_prefix": prefix, "end_of_word_suffix": suffix, "fuse_unk": self.flip(),
            "byte_fallback": self.flip(), "ignore_merges": self.flip(0.3), "vocab": dict(zip(vocab, ids)),
            "merges": [list(m) for m in merges] if as_pairs else [" ".join(m) for m in merges],
        }

    def unigram(self):
        r = self.r
        pieces = list(dict.fromkeys(["<unk>"] + [
            "".join(r.choice(ALPHABET) for _ in range(r.randint(1, 3))) for _ in range(r.randint(3, 60))
        ]))
        if self.flip(0.3):
            pieces += [b for b in BYTES if self.flip(0.99)]
        r.shuffle(pieces)
        return {
            "type": "Unigram", "unk_id": None if self.flip(0.1) else pieces.index("<unk>"), "byte_fallback": self.flip(),
            "vocab": [[p, -round(r.random() * 12, r.choice([0, 1, 3]))] for p in pieces],
        }

    def word_level(self):
        r = self.r
        words = list(dict.fromkeys(["".join(r.choice(ALPHABET) for _ in range(r.randint(1, 2))) for _ in range(60)]))
        if self.flip(0.8):
            words.append("<unk>")
        return {"type": "WordLevel", "vocab": {w: i for i, w in enumerate(words)}, "unk_token": "<unk>"}

    def word_piece(self):
        r = self.r
        words = ["".join(r.choice(ALPHABET) for _ in range(r.randint(1, 3))) for _ in range(60)]
        words = list(dict.fromkeys(words + ["##" + w for w in words if self.flip(0.7)]))
        if self.flip(0.9):
            words.append("[UNK]")
        return {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": r.choice([100, 4]), "vocab": {w: i for i, w in enumerate(words)},
        }

    def post_processor(self, depth=0):
        r = self.r
        special = {"SpecialToken": {"id": "<s>", "type_id": 0}}
        other = {"SpecialToken": {"id": "<e>", "type_id": 0}}
        a = {"Sequence": {"id": "A", "type_id": 0}}
        b = {"Sequence": {"id": "B", "type_id": 1}}
        kind = r.choice(["T", "T", "B", "R", "L", "S"])
        if kind == "T":
            return {
                "type": "TemplateProcessing",
                "single": r.choice([[special, a], [special, a, other], [a], [a, other], [special, a, special, a], [other]]),
                "pair": [special, a, other, special, b, other],
                "special_tokens": {
                    "<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]},
                    "<e>": {"id": "<e>", "ids": [2, 3], "tokens": ["<e>", "<f>"]},
                },
            }
        if kind == "B":
            return {"type": "BertProcessing", "sep": ["[SEP]", 4], "cls": ["[CLS]", 5]}
        if kind == "R":
            return {"type": "RobertaProcessing", "sep": ["</s>", 6], "cls": ["<s>", 7], "trim_offsets": True, "add_prefix_space": False}
        if kind == "L" or depth > 1:
            return {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
        return {"type": "Sequence", "processors": [self.post_processor(depth + 1) for _ in range(r.randint(0, 2))]}

    def decoder(self, depth=0):
        r = self.r
        kind = r.choice(["ByteLevel", "ByteFallback", "Fuse", "Strip", "Replace", "Metaspace", "WordPiece", "BPEDecoder", "CTC", "Sequence", "Llama"])
        if kind == "Llama":
            return {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
        if kind == "Sequence":
            return {"type": "Sequence", "decoders": [self.decoder(depth + 1) for _ in range(r.randint(0, 3))]} if depth < 2 else {"type": "Fuse"}
        return {
            "ByteLevel": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "ByteFallback": {"type": "ByteFallback"},
            "Fuse": {"type": "Fuse"},
            "Strip": {"type": "Strip", "content": r.choice(" ▁a"), "start": r.randint(0, 2), "stop": r.randint(0, 1)},
            "Replace": {"type": "Replace", "pattern": r.choice([{"String": "▁"}, {"String": "a"}, {"Regex": "[ab]+"}, {"Regex": "^."}]), "content": r.choice([" ", "", "$&", "$1x"])},
            "Metaspace": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": r.choice(["always", "first", "never"]), "split": True},
            "WordPiece": {"type": "WordPiece", "prefix": r.choice(["##", "a"]), "cleanup": self.flip()},
            "BPEDecoder": {"type": "BPEDecoder", "suffix": r.choice(["</w>", "a"])},
            "CTC": {"type": "CTC", "pad_token": "a", "word_delimiter_token": "▁", "cleanup": self.flip()},
        }[kind]

    def file(self):
        r = self.r
        model = r.choice([self.bpe, self.bpe, self.unigram, self.word_level, self.word_piece])()
        vocab = model["vocab"]
        names = [v[0] for v in vocab] if isinstance(vocab, list) else list(vocab)
        # Ids are given by the library, in the order of the list, whatever the file says.
        added = [
            {"id": 0, "content": c, "special": self.flip(), "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
            for c in ["<s>", "<x>", "é中"] if self.flip()
        ]
        next_id = max([i for i in (vocab.values() if isinstance(vocab, dict) else range(len(vocab)))] + [0]) + 1
        del next_id
        file = {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
            "pre_tokenizer": None, "post_processor": self.post_processor() if self.flip() else None,
            "decoder": self.decoder() if self.flip(0.8) else None, "model": model,
        }
        tokenizer = attempt(lambda: Tokenizer.from_str(json.dumps(file)))
        if tokenizer is None:
            return {"tokenizer": file, "refused": True}
        texts = [self.text(r.choice([3, 12, 40])) for _ in range(8)]
        size = tokenizer.get_vocab_size() + 2
        lists = [[r.randrange(size) for _ in range(r.randint(0, 6))] for _ in range(5)]
        # Bytes are seldom drawn by chance in runs, so some lists are what texts encode to.
        lists += [e.ids for e in (attempt(lambda t=t: tokenizer.encode(t)) for t in texts[:4]) if e is not None]
        del names
        return {
            "tokenizer": file,
            "encode": [[t, attempt(lambda t=t: tokenizer.encode(t).ids), attempt(lambda t=t: tokenizer.encode(t, add_special_tokens=False).ids)] for t in texts],
            "decode": [[i, attempt(lambda i=i: tokenizer.decode(i)), attempt(lambda i=i: tokenizer.decode(i, skip_special_tokens=False))] for i in lists],
        }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=60)
    options = parser.parse_args()
    maker = Maker(options.seed)
    print(json.dumps({
        "made_by": f"make-random.py --seed {options.seed} --count {options.count}, tokenizers {tokenizers.__version__}",
        "files": [maker.file() for _ in range(options.count)],
    }, ensure_ascii=False, separators=(",", ":")))
