/** What is read of a device, and what is concluded from it. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { chooseFamily } from "../../src/gpu/known-devices.ts";
import { describeDeficits, displayName, limitDeficits, limitNames, readProfile } from "../../src/gpu/profile.ts";
import { testDevice } from "../support/device.ts";

const MEBI = 1 << 20;
const nameless = { vendor: "", architecture: "", device: "", description: "" };

test("a profile holds the device's limits and names, and cannot be changed", async () => {
  const device = await testDevice();
  const profile = readProfile(device);
  for (const name of limitNames) assert.is(profile.limits[name], device.limits[name], name);
  assert.is(profile.limits.maxStorageBufferBindingSize, 128 * MEBI);
  assert.is.not(profile.name, "");
  assert.throws(() => Object.assign(profile.limits, { maxBufferSize: 1 }));
  assert.throws(() => Object.assign(profile, { software: true }));
});

test("the origin names a device if its info does not", async () => {
  const device = await testDevice();
  const profile = readProfile(device, { name: "Some GPU", backend: "vulkan" });
  assert.is(profile.name, "Some GPU");
  assert.is(profile.backend, "vulkan");
});

test("an adapter has a name, whatever it reports", () => {
  assert.is(displayName({ ...nameless, description: "SwiftShader driver 5.0.0" }), "SwiftShader driver 5.0.0");
  assert.is(displayName({ ...nameless, vendor: "amd", architecture: "rdna-3" }), "amd rdna-3");
  assert.is(displayName({ ...nameless, vendor: "apple" }), "apple");
  assert.is(displayName(nameless), "unnamed adapter");
});

test("deficits name each limit that is too small, and by how much", async () => {
  const profile = readProfile(await testDevice());
  const needs = {
    maxBufferSize: 256 * MEBI,
    maxStorageBufferBindingSize: 128 * MEBI + 16,
    maxStorageBuffersPerShaderStage: 9,
    minUniformBufferOffsetAlignment: 512,
  };
  const deficits = limitDeficits(profile, needs);
  assert.equal(deficits, [
    { limit: "maxStorageBufferBindingSize", needed: 128 * MEBI + 16, available: 128 * MEBI },
    { limit: "maxStorageBuffersPerShaderStage", needed: 9, available: 8 },
  ]);
  const text = "maxStorageBufferBindingSize is 134,217,728, short of the 134,217,744 needed by 16";
  assert.is(describeDeficits(deficits).split("; ")[0], text);
});

test("alignments fall short the other way round", async () => {
  const profile = readProfile(await testDevice());
  const deficits = limitDeficits(profile, { minStorageBufferOffsetAlignment: 32 });
  assert.equal(deficits, [{ limit: "minStorageBufferOffsetAlignment", needed: 32, available: 256 }]);
  assert.is(describeDeficits(deficits), "minStorageBufferOffsetAlignment is 256, and 32 is not a multiple of it");
});

test("software devices start with the register family, GPUs with the tiled one", () => {
  const family = (names: Partial<typeof nameless>, software: boolean) =>
    chooseFamily({ ...nameless, ...names, software });
  assert.is(family({ vendor: "google", architecture: "swiftshader" }, true), "register");
  assert.is(family({ vendor: "mesa", description: "llvmpipe: Mesa 25.0.7 (LLVM 15.0.6)" }, true), "register");
  assert.is(family({ vendor: "acme", architecture: "g1" }, true), "register");
  assert.is(family({ vendor: "acme", architecture: "g1" }, false), "tiled");
  assert.is(family({}, false), "tiled");
});

test.run();
