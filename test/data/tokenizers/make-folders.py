"""Folders of tokenizer files with what transformers makes of them.

    python test/data/tokenizers/make-folders.py > test/data/tokenizers/folders.json

Needs the Python packages transformers and sentencepiece.
"""
import base64
import io
import json
import logging
import os
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
logging.disable(logging.CRITICAL)
import sentencepiece
import transformers
from transformers import AutoTokenizer

transformers.logging.set_verbosity_error()

CORPUS = ["the cat sat on the mat and the dog ran to the cat", "hello world, hello there", "der Bär und die Maus", "1234 5678"] * 40
TEXTS = ["hello  world", " hello", "<s>hello</s> cat", "é\n中🦙", "the <x> cat<tool>y", "", "▁▁a ", "Bär 12", "ﬁＡe\u0301 \u200b\n ", "<pad><sep>the"]

cs = []
n = 0
for b in range(256):
    visible = 32 < b < 127 or (b > 160 and b != 173)
    cs.append(chr(b) if visible else chr(256 + n))
    n += not visible
BYTES = {c: i for i, c in enumerate(sorted(cs))}


def byte_text(text):
    return "".join(cs[b] for b in text.encode())


def byte_bpe(*words):
    vocab, merges = dict(BYTES), []
    for word in words:
        parts = list(byte_text(word))
        while len(parts) > 1:
            a, b, *rest = parts
            if a + b not in vocab:
                vocab[a + b] = len(vocab)
                merges.append(f"{a} {b}")
            parts = [a + b, *rest]
    return vocab, merges


def added(id, content, **more):
    return {"id": id, "content": content, "special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, **more}


def tokenizer_json(**more):
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    vocab, merges = byte_bpe("the", " cat")
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": byte_level,
        "post_processor": None, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": vocab, "merges": merges}, **more,
    }


# A few rules in place of SentencePiece's own tables, which take a quarter of a megabyte.
rules = tempfile.NamedTemporaryFile("w", suffix=".tsv")
rules.write("FB01\t66 69\nFF21\t41\n0A\t20\n65 301\tE9\n200B\t\n")
rules.flush()


def sentencepiece_model(**options):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=out, hard_vocab_limit=False, minloglevel=2, num_threads=1, **options)
    return out.getvalue()


bpe = sentencepiece_model(model_type="bpe", vocab_size=330, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False)
bpe_user = sentencepiece_model(model_type="bpe", vocab_size=330, byte_fallback=True, normalization_rule_tsv=rules.name, user_defined_symbols="<x>,he", control_symbols="<sep>", pad_id=3)
unigram = sentencepiece_model(model_type="unigram", vocab_size=60, normalization_rule_tsv=rules.name)
unigram_bytes = sentencepiece_model(model_type="unigram", vocab_size=320, byte_fallback=True, add_dummy_prefix=False, normalization_rule_name="identity")

GPT2 = {"model_type": "gpt2", "vocab_size": 400}
LLAMA = {"model_type": "llama", "vocab_size": 400, "num_hidden_layers": 1}
QWEN = {"model_type": "qwen2", "vocab_size": 400, "num_hidden_layers": 1}

vocab, merges = byte_bpe("the", " cat", "hello", "é")
own = {t: i for i, t in enumerate(["<pad>", "<s>", "</s>", *vocab])}
merges_txt = "#version: 0.2\n" + "\n".join(merges) + "\n"
specials = [added(len(tokenizer_json()["model"]["vocab"]) + i, c) for i, c in enumerate(["<s>", "</s>"])]
template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [specials[0]["id"]], "tokens": ["<s>"]}}}

spaced = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}

FOLDERS = [
    ("GPT-2's class: vocab.json and merges.txt of a model's own", GPT2, {"vocab.json": own, "merges.txt": merges_txt, "tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<pad>"}}),
    ("the same with a space before a text", GPT2, {"vocab.json": own, "merges.txt": merges_txt, "tokenizer_config.json": {"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": True, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<pad>", "add_bos_token": True}}),
    ("the same with names in special_tokens_map.json", GPT2, {"vocab.json": own, "merges.txt": merges_txt, "tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer"}, "special_tokens_map.json": {"bos_token": {"content": "<s>", "lstrip": False, "rstrip": True, "single_word": False, "normalized": False}, "eos_token": "</s>", "unk_token": "<pad>", "additional_special_tokens": ["<tool>", "<x>"]}}),
    ("Qwen2's class", QWEN, {"vocab.json": vocab, "merges.txt": merges_txt, "tokenizer_config.json": {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "unk_token": None, "bos_token": None, "added_tokens_decoder": {str(len(vocab)): {k: v for k, v in added(0, "<|endoftext|>").items() if k != "id"}, str(len(vocab) + 1): {k: v for k, v in added(0, "<|im_end|>").items() if k != "id"}, str(len(vocab) + 2): {"content": "<tool>", "special": False, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}}}}),
    ("special_tokens_map.json beside tokenizer.json", LLAMA, {"tokenizer.json": tokenizer_json(added_tokens=specials), "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"}, "special_tokens_map.json": {"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": False, "rstrip": False, "single_word": False, "normalized": False}}}),
    ("added_tokens_decoder", LLAMA, {"tokenizer.json": tokenizer_json(), "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "added_tokens_decoder": {"300": {"content": "<tool>", "special": False, "lstrip": True, "rstrip": False, "normalized": False, "single_word": False}, "301": {"content": "<s>", "special": True, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}}, "bos_token": "<s>"}, "special_tokens_map.json": {"eos_token": "</s>"}}),
    ("added_tokens.json", LLAMA, {"tokenizer.json": tokenizer_json(), "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"}, "added_tokens.json": {"<x>": 400, "<tool>": 262, "</s>": 263}}),
    ("tokens that only tokenizer_config.json names", LLAMA, {"tokenizer.json": tokenizer_json(), "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "pad_token": "the", "image_token": "<x>", "additional_special_tokens": ["<tool>"]}}),
    ("extra_special_tokens", LLAMA, {"tokenizer.json": tokenizer_json(), "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "extra_special_tokens": {"boi_token": "<x>"}, "sep_token": "<sep>"}}),
    ("a post-processor and no word on BOS", LLAMA, {"tokenizer.json": tokenizer_json(added_tokens=specials, post_processor=template), "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}}),
    ("GPT-2's class with tokenizer.json and a space before a text", GPT2, {"tokenizer.json": tokenizer_json(added_tokens=specials), "tokenizer_config.json": {"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": True, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "</s>"}}),
    ("GPT-2's class, which adds no space that tokenizer_config.json does not ask for", GPT2, {"tokenizer.json": tokenizer_json(added_tokens=specials, pre_tokenizer=spaced), "tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "</s>"}}),
    ("no class, with a space that tokenizer.json asks for", LLAMA, {"tokenizer.json": tokenizer_json(added_tokens=specials, pre_tokenizer=spaced), "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": False}}),
    ("Llama's class and SentencePiece's BPE", LLAMA, {"tokenizer.model": bpe, "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True}}),
    ("the same, legacy, with EOS", LLAMA, {"tokenizer.model": bpe, "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "legacy": True, "add_bos_token": True, "add_eos_token": True}}),
    ("the same without a space before a text", LLAMA, {"tokenizer.model": bpe, "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": False, "add_bos_token": False}}),
    ("the same with added tokens", LLAMA, {"tokenizer.model": bpe_user, "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "pad_token": "<pad>", "added_tokens_decoder": {"330": {"content": "<tool>", "special": False, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}}}}),
    ("SentencePiece's BPE under no class", LLAMA, {"tokenizer.model": bpe, "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"}}),
    ("SentencePiece's BPE with symbols of a user", LLAMA, {"tokenizer.model": bpe_user, "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"}}),
    ("SentencePiece's Unigram", LLAMA, {"tokenizer.model": unigram, "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"}}),
    ("SentencePiece's Unigram with bytes and without a prefix", LLAMA, {"tokenizer.model": unigram_bytes, "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": True}}),
]


def say(name, config, files):
    with tempfile.TemporaryDirectory() as folder:
        for file, content in {"config.json": config, **files}.items():
            data = content if isinstance(content, bytes) else (content if isinstance(content, str) else json.dumps(content)).encode()
            with open(os.path.join(folder, file), "wb") as out:
                out.write(data)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    cases = []
    for text in TEXTS:
        plain = tokenizer.encode(text, add_special_tokens=False)
        cases.append([text, tokenizer.encode(text), plain, tokenizer.decode(plain, skip_special_tokens=True), tokenizer.decode(plain)])
    print(name, type(tokenizer).__name__, file=sys.stderr)
    return {
        "name": name, "config": config,
        "files": {f: {"base64": base64.b64encode(c).decode()} if isinstance(c, bytes) else c for f, c in files.items()},
        "bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id, "cases": cases,
    }


print(json.dumps({
    "made_by": f"make-folders.py, transformers {transformers.__version__}, sentencepiece {sentencepiece.__version__}",
    "folders": [say(*folder) for folder in FOLDERS],
}, ensure_ascii=False, separators=(",", ":")))
