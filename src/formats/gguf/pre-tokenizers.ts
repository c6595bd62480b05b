/**
 * What `tokenizer.ggml.pre` means: how published tokenizers, by llama.cpp's names for them, cut a text into words. The
 * patterns are those of the tokenizer.json files that the names stand for, which llama.cpp approximates.
 * https://github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp
 */

type Json = Readonly<Record<string, unknown>>;

export interface PreTokenizer {
  /** `pre_tokenizer` of tokenizer.json. */
  readonly steps: Json;
  readonly normalizer?: Json;
  /** Whether a whole word that is a token stays whole, whatever the merges say. */
  readonly ignoreMerges?: boolean;
  /** Whether a text begins with BOS unless the file says otherwise. */
  readonly addBos?: boolean;
}

const split = (regex: string): Json => ({
  type: "Split",
  pattern: { Regex: regex },
  behavior: "Isolated",
  invert: false,
});
const bytes = (useRegex: boolean): Json => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});
const sequence = (...pretokenizers: readonly Json[]): Json => ({ type: "Sequence", pretokenizers });
const digits: Json = { type: "Digits", individual_digits: true };

/** Words by these patterns, one after another, and then their bytes. */
const patterns = (...regexes: readonly string[]): Json => sequence(...regexes.map(split), bytes(false));

const GPT2_WORDS = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** Words of Llama 3 and Qwen2, which differ in how many digits stay together. */
const words = (numbers: string): string =>
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" +
  `${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

/** Words that begin at a change of case, as in o200k and Tekken. */
const casedWords = (suffix: string, numbers: string): string =>
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+" +
  `${suffix}|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*${suffix}|` +
  `${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

const DEEPSEEK_LETTERS =
  "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";

const gpt2: PreTokenizer = { steps: bytes(true) };
const llama3: PreTokenizer = { steps: patterns(words("\\p{N}{1,3}")), ignoreMerges: true, addBos: true };
const qwen2: PreTokenizer = { steps: patterns(words("\\p{N}")), normalizer: { type: "NFC" } };
const starcoder: PreTokenizer = { steps: sequence(digits, bytes(true)) };

/** By llama.cpp's names; those that models of the supported architectures have. */
export const PRE_TOKENIZERS: ReadonlyMap<string, PreTokenizer> = new Map<string, PreTokenizer>([
  [
    "default",
    {
      steps: sequence(
        split("[\\p{P}\\$\\+<=>\\^~\\|]+"),
        split(GPT2_WORDS.replace(/\|\\s\+$/, "")),
        split("\\p{N}+"),
        split("[0-9][0-9][0-9]"),
        bytes(false),
      ),
    },
  ],
  ...["gpt-2", "gpt2", "phi-2", "olmo", "mpt", "mellum", "gigachat", "a.x-4.0", "trillion", "exaone4"].map(
    (name) => [name, gpt2] as const,
  ),
  ...["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "midm-2.0", "lfm2"].map(
    (name) => [name, llama3] as const,
  ),
  ...["smaug-bpe", "dbrx"].map((name) => [name, { steps: llama3.steps }] as const),
  ...["qwen2", "deepseek-r1-qwen", "kormo", "megrez"].map((name) => [name, qwen2] as const),
  ...["smollm", "starcoder", "refact", "codeshell", "minerva-7b"].map((name) => [name, starcoder] as const),
  ["tekken", { steps: patterns(casedWords("", "\\p{N}")), ignoreMerges: true, addBos: true }],
  ...["gpt-4o", "llama4"].map(
    (name) => [name, { steps: patterns(casedWords("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "\\p{N}{1,3}")) }] as const,
  ),
  [
    "deepseek-llm",
    {
      steps: patterns(
        "[\\r\\n]",
        DEEPSEEK_LETTERS,
        "\\s?[!-/:-~！-／：-～‘-‟　-。]+",
        "\\s+$",
        "[一-龥ࠀ-一가-퟿]+",
        "\\p{N}+",
      ),
    },
  ],
  ["deepseek-coder", { steps: patterns("[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+", "\\p{N}") }],
  [
    "deepseek-v3",
    {
      steps: patterns(
        "\\p{N}{1,3}",
        "[一-龥぀-ゟ゠-ヿ]+",
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|" +
          " ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
      ),
    },
  ],
  [
    "seed-coder",
    {
      steps: patterns(
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
      ),
    },
  ],
]);
