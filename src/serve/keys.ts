/** API keys: kept as digests, compared in a time that does not depend on them, never printed. */
import { SluiceError } from "../errors.ts";

export class ApiKeys {
  readonly #digests: readonly Uint8Array[];

  private constructor(digests: readonly Uint8Array[]) {
    this.#digests = digests;
  }

  /** @param text one key per line. @throws SluiceError `bad_file` if there is none */
  static async read(text: string): Promise<ApiKeys> {
    const keys = text
      .split(/\r?\n/)
      .map((line) => line.trim())
      .filter((line) => line !== "");
    if (keys.length === 0) {
      throw new SluiceError("bad_file", "The file of API keys is empty", { hint: "Write one key per line." });
    }
    const odd = keys.findIndex((key) => !/^[\x21-\x7e]+$/.test(key));
    if (odd >= 0) {
      throw new SluiceError(
        "bad_file",
        `API key ${odd + 1} has spaces, or characters that no header carries as they are`,
        {
          hint: "Write one key per line, of letters, digits and signs of ASCII.",
        },
      );
    }
    return new ApiKeys(await Promise.all(keys.map(digestOf)));
  }

  /** Whether an `Authorization` header carries one of the keys. */
  async admits(header: string | undefined): Promise<boolean> {
    const given = await digestOf(/^Bearer\s+(.+)$/i.exec(header ?? "")?.[1]?.trim() ?? "");
    let isKnown = false;
    // Every key is compared to its end, also after one that fits.
    for (const digest of this.#digests) isKnown = equal(digest, given) || isKnown;
    return isKnown;
  }
}

async function digestOf(key: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key)));
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= (a[i] as number) ^ (b[i] ?? 0);
  return difference === 0;
}
