/** Names what a file is by its first bytes, if it is not what was expected. */
import { SluiceError } from "../errors.ts";
import { showText } from "../show.ts";

/** What a file was expected to be. */
export type Expected = "json" | "weights" | "bundle" | "gguf" | "text";

/** Bytes from the start of a file that are enough to recognise it. */
export const RECOGNISED_BYTES = 1024;

interface Kind {
  /** With its article, as in "it is …". */
  readonly what: string;
  /** The hint, by what was expected instead. */
  readonly hint: (expected: Expected) => string;
}

const DOWNLOAD = "Download the file itself again.";
const IMPORT = "`sluice bundle import` makes a bundle of it, if it holds an intervention.";
const CONVERT = "Use the model's safetensors weights instead, or convert it with transformers' save_pretrained.";

const GIT_LFS: Kind = {
  what: "a Git LFS pointer, which refers to the file and does not contain it",
  hint: () => "Run `git lfs pull` in its folder, or download the file from the model's page.",
};
const HTML: Kind = {
  what: "an HTML page, not the file",
  hint: () =>
    "A server sent a page instead of the file. Check the address (on Hugging Face it contains /resolve/, not /blob/) and " +
    "whether the page requires a login or the acceptance of a licence.",
};
const GGUF: Kind = {
  what: "a GGUF file",
  hint: (expected) =>
    expected === "bundle" ? IMPORT : "Give the GGUF file itself as the model, under a name that ends in .gguf.",
};
const SAFETENSORS: Kind = {
  what: "a safetensors file",
  hint: (expected) => (expected === "gguf" ? "Give a GGUF file; a bundle needs no import." : DOWNLOAD),
};
const torch = (what: string): Kind => ({
  what,
  hint: (expected) => {
    if (expected === "weights") return CONVERT;
    return expected === "bundle"
      ? IMPORT
      : "PyTorch files are not read here. Save the tensors with safetensors.torch.save_file.";
  },
});
const numpy = (what: string): Kind => ({
  what,
  hint: (expected) =>
    expected === "bundle" ? IMPORT : "NumPy files are not read here. Save the arrays with safetensors.numpy.save_file.",
});
const archive = (what: string): Kind => ({ what, hint: () => "Unpack it and give its contents." });
const message = (text: string): Kind => ({
  what: `a server's message, "${text}"`,
  hint: () => "Check the address, and whether the model's page requires a login or the acceptance of a licence.",
});

/**
 * @param head as for {@link recognise}
 * @returns the error that names the file's format and a remedy, or null if unknown
 */
export function foreignFile(head: Uint8Array, expected: Expected, where: string): SluiceError | null {
  const found = recognise(head, expected);
  return found && new SluiceError("bad_file", `${where}: it is ${found.what}`, { hint: found.hint });
}

/**
 * What an unexpected file is; null if unknown.
 * @param head the first bytes of a file, up to {@link RECOGNISED_BYTES}; all of a shorter file
 * @returns `what` with its article, as in "it is …", and `hint`, the remedy
 */
export function recognise(
  head: Uint8Array,
  expected: Expected,
): { readonly what: string; readonly hint: string } | null {
  const kind = kindOf(head, expected);
  return kind && { what: kind.what, hint: kind.hint(expected) };
}

function kindOf(head: Uint8Array, expected: Expected): Kind | null {
  const begins = (...bytes: readonly number[]): boolean => bytes.every((byte, i) => head[i] === byte);
  const latin = String.fromCharCode(...head.subarray(0, RECOGNISED_BYTES));
  if (latin.startsWith("version https://git-lfs") || latin.startsWith("version https://hawser")) return GIT_LFS;
  if (latin.startsWith("GGUF")) return expected === "gguf" ? null : GGUF;
  if (/^(?:ggml|lmgg|tjgg|fmgg)/.test(latin)) {
    return { what: "a file of llama.cpp's old format, from before GGUF", hint: () => CONVERT };
  }
  if (begins(0x50, 0x4b, 0x03, 0x04) || begins(0x50, 0x4b, 0x05, 0x06)) return zipKind(latin);
  if (begins(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59)) return numpy("a NumPy array (.npy)");
  if (begins(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a)) {
    return { what: "an HDF5 file, as Keras and TensorFlow write", hint: () => CONVERT };
  }
  if (begins(0x80) && (head[1] ?? 0) >= 2 && (head[1] ?? 0) <= 5) {
    return torch("a Python pickle, as old versions of PyTorch write");
  }
  if (begins(0x1f, 0x8b)) return archive("a gzip archive");
  if (begins(0x42, 0x5a, 0x68) || begins(0xfd, 0x37, 0x7a, 0x58) || begins(0x28, 0xb5, 0x2f, 0xfd)) {
    return archive("a compressed archive");
  }
  if (latin.startsWith("ustar", 257)) return archive("a tar archive");
  if (/^\s*<(?:!doctype\s+html|html|head|body|\?xml)/i.test(latin.replace(/^\u00ef\u00bb\u00bf/, ""))) return HTML;
  return textKind(latin, head, expected);
}

/** The kind of a zip file, by the name of its first entry. */
function zipKind(latin: string): Kind {
  const length = latin.charCodeAt(26) + 256 * latin.charCodeAt(27);
  const first = latin.slice(30, 30 + length);
  if (first.endsWith(".npy")) return numpy("a NumPy archive (.npz)");
  if (/(?:^|\/)(?:data\.pkl|version|byteorder|\.format_version|data\/\d+|constants\.pkl)$/.test(first)) {
    return torch("a PyTorch file");
  }
  return archive("a zip archive");
}

function textKind(latin: string, head: Uint8Array, expected: Expected): Kind | null {
  const isUtf16 = (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff);
  if (isUtf16) return { what: "text in UTF-16", hint: () => "Save the file as UTF-8." };
  const isSafetensors = head.length > 10 && head[7] === 0 && head[6] === 0 && head[8] === 0x7b;
  if (isSafetensors && (expected === "json" || expected === "gguf" || expected === "text")) return SAFETENSORS;
  const said =
    /^\s*((?:Entry|Repository|Revision|File|Page) not found|Not Found|Access to \S+ .*|Invalid (?:user|credentials).*|Unauthorized|Forbidden|40[134]\b.*)/i;
  const spoken = said.exec(latin)?.[1];
  if (spoken !== undefined && expected !== "text" && head.length < RECOGNISED_BYTES) return message(showText(spoken));
  if (head.length === 0 && expected !== "text") return { what: "empty", hint: () => DOWNLOAD };
  if (head.length >= 16 && head.every((byte) => byte === 0)) {
    return { what: "nothing but zeros at its start: a download that was interrupted", hint: () => DOWNLOAD };
  }
  if (/^\s*[{[]/.test(latin) && (expected === "weights" || expected === "bundle" || expected === "gguf")) {
    return {
      what: "a JSON file",
      hint: () => `A ${expected === "gguf" ? "GGUF" : "safetensors"} file is needed here.`,
    };
  }
  return null;
}
