/** What is remembered of tuning: round trips, and records that are damaged, foreign or old. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readProfile } from "../../src/gpu/profile.ts";
import type { KernelChoices } from "../../src/kernels/variants.ts";
import { openStore } from "../../src/tune/page-store.ts";
import { recall, remember, type TuningStore } from "../../src/tune/remembered.ts";
import { testDevice } from "../support/device.ts";
import { MemoryStore } from "../support/memory-store.ts";

const choices: KernelChoices = { "linear qkv 64x192 f32": { "1": "lanes1", more: "tile" } };
const more: KernelChoices = {
  "linear qkv 64x192 f32": { "8": "tile" },
  "linear plain 64x64 f32": { "1": "register1x1" },
};

const device = async () => readProfile(await testDevice());
const silent = (message: string): void => {
  throw new Error(`There was nothing to tell: ${message}`);
};

async function roundTrip(store: TuningStore): Promise<void> {
  const profile = await device();
  assert.equal(await recall(store, profile, silent), {});
  assert.equal(await remember(store, profile, choices, silent), choices);
  assert.equal(await recall(store, profile, silent), choices);
  const both = { ...more, "linear qkv 64x192 f32": { "1": "lanes1", "8": "tile", more: "tile" } };
  assert.equal(await remember(store, profile, more, silent), both);
  assert.equal(await recall(store, profile, silent), both);
}

test("stored choices are read, and added to", () => roundTrip(new MemoryStore()));

if (globalThis.indexedDB !== undefined) test("the same in IndexedDB", () => roundTrip(openStore()));

test("another version of the engine, and another adapter, know nothing of it", async () => {
  const store = new MemoryStore();
  const profile = await device();
  await remember(store, profile, choices, silent, "1.0.0+old");
  assert.equal(await recall(store, profile, silent, "1.0.0+new"), {});
  assert.equal(await recall(store, { ...profile, device: "another" }, silent, "1.0.0+old"), {});
  const fewer = { ...profile, limits: { ...profile.limits, maxComputeWorkgroupStorageSize: 1 } };
  assert.equal(await recall(store, fewer, silent, "1.0.0+old"), {});
  // The new version takes the old one's place.
  await remember(store, profile, more, silent, "1.0.0+new");
  assert.equal(await recall(store, profile, silent, "1.0.0+new"), more);
  assert.is(store.texts.size, 1);
});

test("damaged and foreign records are reported once, ignored and replaced", async () => {
  const profile = await device();
  const whole = new MemoryStore();
  await remember(whole, profile, choices, silent);
  const [[name = "", text = ""] = []] = [...whole.texts];
  const json = JSON.parse(text);
  for (const bad of [
    "",
    "{",
    "null",
    "[]",
    text.slice(0, -10),
    JSON.stringify({ ...json, format: 2 }),
    JSON.stringify({ ...json, engine: 1 }),
    JSON.stringify({ ...json, choices: [] }),
    JSON.stringify({ ...json, choices: { a: "b" } }),
    JSON.stringify({ ...json, choices: { a: { "3": "tile" } } }),
    JSON.stringify({ ...json, choices: { a: { "1": 7 } } }),
    JSON.stringify({ ...json, adapter: "{}" }),
  ]) {
    const store = new MemoryStore([[name, bad]]);
    const told: string[] = [];
    assert.equal(await recall(store, profile, (message) => told.push(message)), {}, bad);
    assert.is(told.length, 1, bad);
    assert.ok(told[0]?.includes(store.place(name)), told[0]);
    assert.equal(await recall(store, profile, silent), {});
    assert.equal(await remember(store, profile, choices, silent), choices);
  }
});

test("a store that cannot be used is worth a notice and no failure", async () => {
  const profile = await device();
  const failing: TuningStore = {
    place: (name) => name,
    read: () => Promise.reject(new Error("no read")),
    write: () => Promise.reject(new Error("no write")),
  };
  const told: string[] = [];
  assert.equal(await remember(failing, profile, choices, (message) => told.push(message)), choices);
  assert.match(told.join("\n"), /cannot be read: no read\n.*cannot be stored: no write/);
});

test.run();
