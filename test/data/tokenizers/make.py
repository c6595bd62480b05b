"""Makes the fixtures of this folder with the Rust library of tokenizers (Python package `tokenizers`).

    python make.py patterns      writes patterns.json: matches of regular expressions
    python make.py steps         writes steps.json: normalizers, pre-tokenizers and added tokens

Random, from a fixed seed; `--seed N --count N --out FILE` makes others, to look for differences.
"""
import argparse
import json
import random

import tokenizers
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers

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


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("what", choices=["patterns", "steps"])
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--count", type=int, default=300)
    options.add_argument("--out")
    given = options.parse_args()
    draw.seed(given.seed)
    cases = {"patterns": patterns}[given.what](given.count)
    with open(given.out or f"{given.what}.json", "w", encoding="utf-8") as file:
        lines = ",\n".join(json.dumps(case, ensure_ascii=True, separators=(",", ":")) for case in cases)
        file.write(f'{{"made_with":"tokenizers {tokenizers.__version__}","cases":[\n{lines}\n]}}\n')
