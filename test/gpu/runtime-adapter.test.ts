/** Runtimes with WebGPU of their own, such as Deno: their `navigator.gpu` is used, and Dawn where it offers nothing. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openAdapter } from "../../src/gpu/node.ts";

/** Runs `use` in a runtime whose navigator has this WebGPU. */
async function withNavigator(gpu: { requestAdapter(): Promise<unknown> }, use: () => Promise<void>): Promise<void> {
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  Object.defineProperty(globalThis, "navigator", { value: { gpu }, configurable: true });
  try {
    await use();
  } finally {
    if (before) Object.defineProperty(globalThis, "navigator", before);
    else Reflect.deleteProperty(globalThis, "navigator");
  }
}

test("the runtime's adapter comes first", async () => {
  const adapter = { info: { vendor: "a vendor", architecture: "", device: "", description: "A GPU" } };
  await withNavigator({ requestAdapter: async () => adapter }, async () => {
    const found = await openAdapter({});
    assert.is(found.adapter as unknown, adapter);
    assert.is(found.origin, "navigator.gpu");
    assert.match(found.name, /A GPU/);
  });
});

test("a runtime without an adapter leaves it to Dawn", async () => {
  await withNavigator({ requestAdapter: async () => null }, async () => {
    assert.is.not((await openAdapter({})).origin, "navigator.gpu");
  });
});

test.run();
