"""Makes the fixtures of this folder with the Rust library of tokenizers (Python package `tokenizers`).

    python make.py patterns      writes patterns.json: matches of regular expressions
    python make.py steps         writes steps.json: normalizers, pre-tokenizers and added tokens

Random, from a fixed seed; `--seed N --count N --out FILE` makes others, to look for differences.
"""
import argparse
import json
import pathlib
import random
import unicodedata

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, pre_tokenizers

CHARACTERS = (
    ["a", "b", "c", "A", "B", "s", "S", "'", "t", "x", "n", "d", "ll", "re", " ", " ", " ", "  ", "\n", "\r\n", "\t"]
    + ["1", "2", "²", "½", "Ⅷ", "٣", "①", "é", "e\u0301", "É", "ậ", "Σ", "ς", "σ", "İ", "ı", "ﬁ", "ß", "ſ", "\u212a"]
    + ["\u00a0", "\u2028", "\u0085", "\u200b", "\u200d", "\ufeff", "\ufffd", "\u3000", "\u00ad", "\u0000", "\u001f", "\u007f"]
    + ["漢", "字", "か", "ガ", "ー", "한", "\u1112\u1161", "ع", "ร์", "ำ", "हि", "😀", "👨‍👩‍👧", "🇫🇷", "𝔾", "𐐀", "𐐨", "\u0300"]
    + ["-", "_", ".", ",", "!", "?", "。", "،", "$", "«", "…", "\u203f", "▁", "¨", "Å", "㎏", "™"]
)

ATOMS = (
    [r"a", r"b", r"\n", r" ", r"1", r"é", r"漢", r"😀", r".", r"\w", r"\W", r"\d", r"\D", r"\s", r"\S", r"\h", r"\H"]
    + [r"\p{L}", r"\p{N}", r"\P{L}", r"\p{^Lu}", r"\p{Lu}", r"\p{Ll}", r"\p{M}", r"\p{P}", r"\p{Han}", r"\p{Word}"]
    + [r"[[:alpha:]]", r"[[:^space:]]", r"[[:punct:]]", r"[[:word:]]", r"[a-c]", r"[^a-c]", r"[^\s\p{L}\p{N}]"]
    + [r"[\w&&[^a]]", r"[^\r\n]", r"[\W\d]", r"[a\]-]", r"'", r"\R", r"\N", r"\O", r"\x{e9}", r"\u00e9", r"(?i:a)"]
    + [r"(?i:s)", r"(?i:é)", r"(?i:[a-c])", r"(?i:σ)", r"(?i:'s|'t|'ll)", r"(?i:[^b])", r"(?i:k)", r"(?i:𐐀)"]
    + [r"[\u0300-\u036f]", r"[一-龥]", r"(?m:.)"]
)

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
ENDINGS, REST = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?", r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
NO_WORD = r"[^\r\n\p{L}\p{N}]?"
REAL = {
    "GPT-2": GPT2,
    "Llama 3": LLAMA3,
    "Qwen 2": LLAMA3.replace("{1,3}", ""),
    "cl100k": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
    "o200k, Llama 4": rf"{NO_WORD}{UPPER}*{LOWER}+{ENDINGS}|{NO_WORD}{UPPER}+{LOWER}*{ENDINGS}|\p{{N}}{{1,3}}|{REST}",
    "Tekken": rf"{NO_WORD}{UPPER}*{LOWER}+|{NO_WORD}{UPPER}+{LOWER}*|\p{{N}}|{REST}",
    "DeepSeek letters": r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕ]+",
    "DeepSeek punctuation": r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
    "DeepSeek Chinese": r"[一-龥ࠀ-一가-퟿]+",
    "DeepSeek 3": r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "Falcon": r"[0-9][0-9][0-9]",
    "Bloom": r" ?[^(\s|[.,!?…。，、।۔،])]+",
    "groups of digits": r"(?<=\d)(?=(?:\d{3})+(?!\d))",
    "CLIP": r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    "Kimi": r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}|" + REST,
}

draw = random.Random()

# A table that SentencePiece made of the rules in charsmap.tsv.
CHARSMAP = (pathlib.Path(__file__).parent / "charsmap.txt").read_text().strip()


def text(most=14):
    return "".join(draw.choice(CHARACTERS) for _ in range(draw.randrange(most)))


def pattern(depth=3):
    kind = draw.random()
    if depth == 0 or kind < 0.35:
        return draw.choice(ATOMS)
    if kind < 0.6:
        return "".join(pattern(depth - 1) for _ in range(draw.randint(1, 3)))
    if kind < 0.75:
        return "(?:" + "|".join(pattern(depth - 1) for _ in range(draw.randint(2, 3))) + ")"
    if kind < 0.9:
        signs = "* + ? *? +? ?? *+ ++ ?+ {2} {1,2} {0,2} {2,} {,2} {1,2}? {2,}?".split()
        body = pattern(depth - 1)
        return (body if len(body) == 1 else f"(?:{body})") + draw.choice(signs)
    if kind < 0.94:
        return draw.choice(["(?=", "(?!"]) + pattern(depth - 1) + ")"
    if kind < 0.97:
        return draw.choice(["(?<=", "(?<!"]) + draw.choice(ATOMS[:30]) + ")"
    if kind < 0.985:
        return "(?>" + pattern(depth - 1) + ")"
    return draw.choice(["^", "$", r"\b", r"\B", r"\A", r"\z", r"\Z", r"\G"])


def pieces(step, given):
    return [piece for piece, _ in step.pre_tokenize_str(given)]


def patterns(count):
    """Per pattern: texts, and the texts' pieces if split there, with the matches as pieces of their own."""
    found = []
    while len(found) < count:
        source = list(REAL.values())[len(found)] if len(found) < len(REAL) else pattern()
        try:
            split = pre_tokenizers.Split(Regex(source), "isolated")
            matches = pre_tokenizers.Split(Regex(source), "removed", invert=True)
        except Exception:  # not every random pattern is a valid one
            continue
        texts = [text() for _ in range(12 if len(found) < len(REAL) else 2)]
        found.append([source, [[given, pieces(split, given), pieces(matches, given)] for given in texts]])
    return found




def normalizer(depth=2):
    """A random normalizer, as tokenizer.json writes it."""
    flag = lambda: draw.random() < 0.5  # noqa: E731
    simple = ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel"]
    kind = draw.choice(simple + ["Strip", "Replace", "Replace", "Prepend", "BertNormalizer", "Precompiled", "Sequence", "Sequence"])
    if kind == "Strip":
        return {"type": kind, "strip_left": flag(), "strip_right": flag()}
    if kind == "Replace":
        pattern = split_pattern()
        if "x*" in pattern.values():  # the library doubles what is inserted in front of everything
            pattern = {"String": "x"}
        return {"type": kind, "pattern": pattern, "content": draw.choice(["", " ", "▁", "$&", "xy", "é$1"])}
    if kind == "Prepend":
        return {"type": kind, "prepend": draw.choice(["▁", " ", "ab"])}
    if kind == "BertNormalizer":
        accents = draw.choice([None, True, False])
        return {"type": kind, "clean_text": flag(), "handle_chinese_chars": flag(), "strip_accents": accents, "lowercase": flag()}
    if kind == "Precompiled":
        return {"type": kind, "precompiled_charsmap": CHARSMAP}
    if kind == "Sequence":
        steps = [normalizer(depth - 1) for _ in range(draw.randrange(4))] if depth else []
        return {"type": kind, "normalizers": steps}
    return {"type": kind}


def split_pattern():
    if draw.random() < 0.4:
        return {"String": draw.choice([" ", "a", "-", "é", "ab", ".", "😀", "  ", "$", "\n"])}
    return {"Regex": draw.choice([r"\s+", r"\w+", r"[^\s\p{L}]", r"\d", r"(?=\p{Lu})", r" ?\p{L}+|\s+(?!\S)|\s+", r"\p{P}+", ".", "x*"])}


BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def pre_tokenizer(depth=2):
    """A random pre-tokenizer, as tokenizer.json writes it."""
    flag = lambda: draw.random() < 0.5  # noqa: E731
    simple = ["Whitespace", "WhitespaceSplit", "BertPreTokenizer", "UnicodeScripts"]
    others = ["ByteLevel", "CharDelimiterSplit", "Digits", "Punctuation", "Split", "Split", "Split", "Metaspace", "Metaspace"]
    kind = draw.choice(simple + others + ["FixedLength", "Sequence", "Sequence"])
    if kind == "ByteLevel":
        return {"type": kind, "add_prefix_space": flag(), "trim_offsets": flag(), "use_regex": flag()}
    if kind == "CharDelimiterSplit":
        return {"type": kind, "delimiter": draw.choice(["a", " ", "é", "😀", "-", "▁"])}
    if kind == "Digits":
        return {"type": kind, "individual_digits": flag()}
    if kind == "Punctuation":
        return {"type": kind, "behavior": draw.choice(BEHAVIORS)}
    if kind == "Split":
        return {"type": kind, "pattern": split_pattern(), "behavior": draw.choice(BEHAVIORS), "invert": flag()}
    if kind == "Metaspace":
        scheme = draw.choice(["always", "never", "first", "first"])
        return {"type": kind, "replacement": draw.choice(["▁", "▁", "_", "😀"]), "prepend_scheme": scheme, "split": flag()}
    if kind == "FixedLength":
        return {"type": kind, "length": draw.randint(1, 5)}
    if kind == "Sequence":
        steps = [pre_tokenizer(depth - 1) for _ in range(draw.randrange(4))] if depth else []
        return {"type": kind, "pretokenizers": steps}
    return {"type": kind}


def added_tokens():
    """Random added tokens, none of which is a single character."""
    flag = lambda: draw.random() < 0.4  # noqa: E731
    contents = ["<s>", "</s>", "<s", "ab", "abc", "bc", "é.", "ÉA", " a", "  ", "\n\n", "Σa", "漢字", "<😀>", "Ab c", "1 ", "a.", "xx"]
    chosen = draw.sample(contents, draw.randrange(5))
    flags = ["special", "single_word", "lstrip", "rstrip", "normalized"]
    return [{"content": content, **{name: flag() for name in flags}} for content in chosen]


def steps(count):
    """Per tokenizer: its parts, and texts with what reaches its model: texts, and `[place]` for an added token."""
    found = []
    while len(found) < count:
        parts = {
            "added_tokens": added_tokens() if draw.random() < 0.5 else [],
            "normalizer": normalizer() if draw.random() < 0.6 else None,
            "pre_tokenizer": pre_tokenizer() if draw.random() < 0.7 else None,
        }
        tokenizer = spelling(parts)
        contents = [token["content"] for token in parts["added_tokens"]]
        if tokenizer.normalizer:
            contents = [tokenizer.normalizer.normalize_str(content) for content in contents]
        # Which of two equal ones the library finds changes from run to run; an empty one it finds between all characters.
        if "" in contents or len(set(contents)) < len(contents):
            continue
        texts = []
        for _ in range(3):
            given = text() + (draw.choice(["<s>", "</s>", "ab", "abc", " a", "Σ", "<😀>"]) + text() if parts["added_tokens"] else "")
            try:
                reached = what_reaches(tokenizer, given)
            except BaseException as error:  # the library panics at some
                if type(error).__name__ != "PanicException" and not isinstance(error, Exception):
                    raise
                continue
            if not any(isinstance(piece, str) and UNKNOWN in piece for piece in reached):
                texts.append([given, reached])
        if texts:
            found.append([parts, texts])
    return found


UNKNOWN = "[UNK]"


def alphabet():
    """Every character that random texts and steps can give."""
    characters = set("".join(CHARACTERS)) | {chr(c) for c in [*range(0x400), *range(0x1100, 0x1200)]}
    characters |= set("$&xyé$1<s/>😀Ab c._▁TMkgVIIIがガ가하")
    for form in ["NFD", "NFC", "NFKD", "NFKC"]:
        characters |= set(unicodedata.normalize(form, "".join(characters)))
    return sorted(characters | set("".join(characters).lower()))


VOCABULARY = {UNKNOWN: 0}
for character in alphabet():
    VOCABULARY[character] = len(VOCABULARY)
    VOCABULARY["##" + character] = len(VOCABULARY)


def spelling(parts):
    """A tokenizer whose model spells each piece: its first character, and the others behind `##`."""
    model = {"type": "BPE", "vocab": VOCABULARY, "merges": [], "unk_token": UNKNOWN, "continuing_subword_prefix": "##"}
    whole = {"version": "1.0", "truncation": None, "padding": None, "post_processor": None, "decoder": None, "model": model}
    tokenizer = Tokenizer.from_str(json.dumps({**whole, **parts, "added_tokens": []}))
    # Not as a part of the file, where an id has to follow the one before.
    for token in parts["added_tokens"]:
        (tokenizer.add_special_tokens if token["special"] else tokenizer.add_tokens)([AddedToken(**token)])
    return tokenizer


def what_reaches(tokenizer, given):
    found = []
    for id in tokenizer.encode(given, add_special_tokens=False).ids:
        token = tokenizer.id_to_token(id)
        if token == UNKNOWN:
            found.append(UNKNOWN)
        elif id >= len(VOCABULARY):
            found.append([id - len(VOCABULARY)])
        elif token.startswith("##") and len(token) > 2:
            found[-1] += token[2:]
        else:
            found.append(token)
    return found


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("what", choices=["patterns", "steps"])
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--count", type=int, default=300)
    options.add_argument("--out")
    given = options.parse_args()
    draw.seed(given.seed)
    cases = {"patterns": patterns, "steps": steps}[given.what](given.count)
    with open(given.out or f"{given.what}.json", "w", encoding="utf-8") as file:
        lines = ",\n".join(json.dumps(case, ensure_ascii=True, separators=(",", ":")) for case in cases)
        # The table stands beside the fixture.
        lines = lines.replace(CHARSMAP, "charsmap.txt")
        file.write(f'{{"made_with":"tokenizers {tokenizers.__version__}","cases":[\n{lines}\n]}}\n')
