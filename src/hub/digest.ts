/** What a content must have as its digest, computed while it comes. */
import { type HubFile, sha256In } from "./repo-files.ts";

/** What the two faces of SHA-256 have in common. */
interface Hash {
  update(bytes: Uint8Array): void;
  hex(): string;
}

/** Files of git itself are small: larger ones are in LFS, and named by SHA-256. */
const MAX_GIT_BYTES = 200_000_000;

export interface Verdict {
  readonly isRight: boolean;
  /** For a wrong one: which digest, what it is and what it should be. */
  readonly why: string;
}

/** Bytes of a content in order, then whether they are right. */
export class ContentDigest {
  #sha256: string | null;
  readonly #gitSha1: string | null;
  #hash: Hash | null = null;
  #bytes = 0;

  constructor({ sha256, gitSha1 }: Pick<HubFile, "sha256" | "gitSha1">) {
    this.#sha256 = sha256;
    this.#gitSha1 = gitSha1;
  }

  /** Must be called before bytes are added, and begins anew. */
  async start(): Promise<void> {
    this.#bytes = 0;
    // Bundlers for browsers swap this module for sha256.ts (scripts/page-faces.json says so), hence the late import.
    const { Sha256 } = await import("../formats/node-sha256.ts");
    this.#hash = new Sha256();
  }

  /** Takes a SHA-256 by which an answer names the content, if nothing else has named a digest. */
  learn(etag: string | null): void {
    if (this.#gitSha1 === null) this.#sha256 ??= sha256In(etag);
  }

  add(bytes: Uint8Array): void {
    this.#bytes += bytes.length;
    this.#hash?.update(bytes);
  }

  /** @param readAll the whole content, for a digest that needs its length first */
  async verdict(readAll: () => Promise<Uint8Array<ArrayBuffer>>): Promise<Verdict> {
    const sha256 = this.#hash?.hex() ?? "";
    if (this.#sha256 !== null) {
      return { isRight: sha256 === this.#sha256, why: `its SHA-256 is ${sha256}, not ${this.#sha256}` };
    }
    // Pages without a secure address have no digests.
    if (this.#gitSha1 === null || !globalThis.crypto?.subtle) return RIGHT;
    // Some servers name a file in LFS by git's name of the pointer to it.
    if ((await blobOid(pointerTo(sha256, this.#bytes))) === this.#gitSha1) return RIGHT;
    if (this.#bytes > MAX_GIT_BYTES) return RIGHT;
    const content = await readAll();
    const found = await blobOid(content);
    // Mirrors that are no git repository name a content by its plain SHA-1.
    if (found === this.#gitSha1 || (await sha1(content)) === this.#gitSha1) return RIGHT;
    return { isRight: false, why: `git's SHA-1 of it is ${found}, not ${this.#gitSha1}` };
  }
}

const RIGHT: Verdict = { isRight: true, why: "" };

/** What git keeps of a file in LFS. */
function pointerTo(sha256: string, bytes: number): Uint8Array<ArrayBuffer> {
  const text = `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize ${bytes}\n`;
  return new TextEncoder().encode(text);
}

/** The SHA-1 by which git names a file of that content. */
async function blobOid(content: Uint8Array<ArrayBuffer>): Promise<string> {
  const head = new TextEncoder().encode(`blob ${content.length}\0`);
  const blob = new Uint8Array(head.length + content.length);
  blob.set(head);
  blob.set(content, head.length);
  return sha1(blob);
}

async function sha1(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return hexOf(await crypto.subtle.digest("SHA-1", bytes));
}

function hexOf(digest: ArrayBuffer): string {
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
