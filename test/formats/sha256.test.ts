/** SHA-256 for pages: the standard's own examples, and pieces of every length against Web Crypto. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Sha256 } from "../../src/formats/sha256.ts";

function hex(...pieces: readonly Uint8Array[]): string {
  const hash = new Sha256();
  for (const piece of pieces) hash.update(piece);
  return hash.hex();
}

test("the standard's examples", () => {
  const text = (content: string) => hex(new TextEncoder().encode(content));
  assert.is(text(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  assert.is(text("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  assert.is(text(two), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  assert.is(text("a".repeat(1_000_000)), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
});

test("every length around a block's end, cut anywhere", async () => {
  const bytes = Uint8Array.from({ length: 200 }, (_, i) => (i * 73 + 11) & 255);
  for (let length = 0; length <= bytes.length; length++) {
    const whole = bytes.subarray(0, length);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
    const expected = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const cut = (length * 37) % (length + 1);
    assert.is(hex(whole.subarray(0, cut), whole.subarray(cut)), expected, `${length} bytes, cut at ${cut}`);
  }
});

test.run();
