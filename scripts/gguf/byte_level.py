"""A small byte-level BPE under every name of a pre-tokenizer that llama.cpp knows."""
import json

import gguf
import tokenizers
from output import write_json
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizers.normalizers import NFC

TEXTS = [
    "Hello, world!",
    "  two spaces, a\ttab\n\nand  lines \r\n",
    "I'm sure they'LL say it's 1234567890 o'clock, DON'T you?",
    "Größe über naïve cafés — 北京大学 漢字かな交じり文 한국어",
    "x = foo_bar[42] ** 3.14; // comment <|end|> https://a.b/c?d=e&f",
    "CamelCaseWords andHTMLParser IPv6 ΑΒΓαβγ Привет",
    "\u00a0odd\u2009spaces\u3000here 🙂👍🏽 e\u0301 café",
    "As <|begin|>user<|end|>\nHi there<|end|>  <tool>",
    "１２３ Ⅷ ½ ٣٤٥ 12,345.67",
    "",
    " ",
]
SPECIAL = ["<|begin|>", "<|end|>"]
USER = ["<tool>"]
SPLIT = {
    "llama": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "tekken": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "o200k": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}


def regexes(*patterns):
    steps = [pre_tokenizers.Split(tokenizers.Regex(each), "isolated") for each in patterns]
    return pre_tokenizers.Sequence([*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def pre_tokenizer_kinds():
    """By llama.cpp's names: pre-tokenizer, normalizer, ignore_merges, whether BOS is added, as published tokenizer.json files have them."""
    digits = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return {
        "gpt-2": (pre_tokenizers.ByteLevel(add_prefix_space=False), None, False, False),
        "llama-bpe": (regexes(SPLIT["llama"]), None, True, True),
        "qwen2": (regexes(SPLIT["qwen"]), NFC(), False, False),
        "smollm": (digits, None, False, False),
        "tekken": (regexes(SPLIT["tekken"]), None, True, True),
        "gpt-4o": (regexes(SPLIT["o200k"]), None, False, False),
        "deepseek-coder": (
            regexes(r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}"),
            None,
            False,
            False,
        ),
        "deepseek-llm": (
            regexes(
                r"[\r\n]",
                "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+",
                r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
                r"\s+$",
                "[一-龥ࠀ-一가-퟿]+",
                r"\p{N}+",
            ),
            None,
            False,
            False,
        ),
        "deepseek-v3": (
            regexes(
                r"\p{N}{1,3}",
                "[一-龥぀-ゟ゠-ヿ]+",
                r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            ),
            None,
            False,
            False,
        ),
        # Not a published tokenizer.json: what llama.cpp does.
        "default": (
            regexes(
                r"[\p{P}\$\+<=>\^~\|]+",
                r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
                r"\p{N}+",
                "[0-9][0-9][0-9]",
            ),
            None,
            False,
            False,
        ),
    }


def byte_level_bpe():
    """Trained on whole texts, so that its merges cross what pre-tokenizers cut."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = regexes(r".{1,12}")
    trainer = trainers.BpeTrainer(
        vocab_size=800, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    trained.train_from_iterator([text for text in TEXTS for _ in range(3)], trainer)
    state = json.loads(trained.to_str())["model"]
    vocab = {**state["vocab"]}
    for text in [*SPECIAL, *USER]:
        vocab.setdefault(text, len(vocab))
    return vocab, [tuple(pair) for pair in state["merges"]]


def tokenizer_of(vocab, merges, kind):
    steps, normalizer, ignore, add_bos = kind
    made = Tokenizer(models.BPE(vocab, merges, ignore_merges=ignore))
    made.pre_tokenizer = steps
    made.decoder = decoders.ByteLevel()
    if normalizer:
        made.normalizer = normalizer
    made.add_tokens([AddedToken(text, normalized=False) for text in USER])
    made.add_special_tokens([AddedToken(text, normalized=False) for text in SPECIAL])
    if add_bos:
        made.post_processor = tokenizers.processors.TemplateProcessing(
            single="<|begin|> $A", special_tokens=[("<|begin|>", vocab["<|begin|>"])]
        )
    return made


def token_types(vocab):
    types = [gguf.TokenType.NORMAL] * len(vocab)
    for text in SPECIAL:
        types[vocab[text]] = gguf.TokenType.CONTROL
    for text in USER:
        types[vocab[text]] = gguf.TokenType.USER_DEFINED
    return [int(each) for each in types]


def byte_level_tokenizers():
    vocab, merges = byte_level_bpe()
    kinds = {}
    for name, kind in pre_tokenizer_kinds().items():
        made = tokenizer_of(vocab, merges, kind)
        encoded = [made.encode(text).ids for text in TEXTS]
        kinds[name] = {"ids": encoded, "decoded": [made.decode(ids, skip_special_tokens=True) for ids in encoded]}
    tokens = [text for text, _ in sorted(vocab.items(), key=lambda entry: entry[1])]
    write_json(
        "tokenizers.json",
        {
            "tokens": tokens,
            "token_type": token_types(vocab),
            "merges": [" ".join(pair) for pair in merges],
            "bos": vocab["<|begin|>"],
            "eos": vocab["<|end|>"],
            "texts": TEXTS,
            "kinds": kinds,
        },
    )


TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{{ eos_token }}{% endfor %}"


def add_byte_level(writer, vocab, merges, pre, bos="<|begin|>"):
    tokens = [text for text, _ in sorted(vocab.items(), key=lambda entry: entry[1])]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(token_types(vocab))
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(vocab[bos])
    writer.add_eos_token_id(vocab["<|end|>"])
    writer.add_chat_template(TEMPLATE)
