/** What queues send, where they are, and which results belong together. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { queueAddress, withoutPasswords } from "../../src/queue/address.ts";
import type { Computer } from "../../src/queue/messages.ts";
import { SameKind } from "../../src/queue/same-kind.ts";
import { fromBytes, toBytes } from "../../src/queue/wire.ts";
import { codeOf } from "../support/refusal-code.ts";

test("values come back as they were sent, bit for bit", async () => {
  const value = {
    rows: [Float32Array.of(1.5, -0), new Float64Array(3).fill(Math.PI), Uint8Array.of(7)],
    table: new Map([[3, { direction: Float32Array.of(2) }]]),
    text: "é\n",
    low: Number.NEGATIVE_INFINITY,
    none: null,
    empty: new Float32Array(0),
  };
  assert.equal(fromBytes(toBytes(value)), value);
  const odd = fromBytes(toBytes(Float32Array.of(Number.NaN, -0))) as Float32Array;
  assert.ok(Object.is(odd[0], Number.NaN) && Object.is(odd[1], -0));
  assert.is(await codeOf(() => fromBytes(Uint8Array.of(255, 255, 255, 255, 1))), "bad_file");
});

test("what was not written by Sluice is a damaged file, whatever JavaScript makes of it", async () => {
  const written = (json: string): Uint8Array => {
    const text = new TextEncoder().encode(json);
    return Uint8Array.of(text.length, 0, 0, 0, ...text, ...new Uint8Array(64));
  };
  const array = (kind: string, at: unknown, length: unknown): string => JSON.stringify({ $array: kind, at, length });
  assert.equal(fromBytes(written(array("u8", 0, 2))), new Uint8Array(2));
  const damaged = [
    "",
    "{",
    array("constructor", 0, 1),
    array("f32", 0, 1000),
    array("f32", -8, 1),
    array("f32", 0, 0.5),
    array("f32", "0", 1),
    '{"$map":3}',
    '{"$map":[3]}',
    '{"$number":"ten"}',
    '{"$number":"3"}',
  ];
  for (const json of damaged) assert.is(await codeOf(() => fromBytes(written(json))), "bad_file", json);
});

test("addresses are shown without user and password, and refused without being repeated", () => {
  assert.is(queueAddress("redis://user:secret@host:6379/2").shown, "redis://host:6379/2");
  assert.equal(queueAddress("valkey://host").target, { url: "redis://host" });
  assert.equal(queueAddress("unix:/run/redis.sock").target, { path: "/run/redis.sock" });
  assert.is(withoutPasswords("sluice worker --queue redis://:secret@host:1"), "sluice worker --queue redis://host:1");
  for (const bad of ["host:6379", "http://secret@host", "redis://", "unix:relative"]) {
    assert.throws(
      () => queueAddress(bad),
      (error: Error) => !error.message.includes("secret") && /not the address/.test(error.message),
    );
  }
});

test("results of two kinds of devices or versions are refused, and both are named", () => {
  const one: Computer = { worker: "a", sluice: "1", device: "GPU", kind: "x" };
  const kinds = new SameKind();
  assert.is(kinds.accept(one), true);
  assert.is(kinds.accept({ ...one, worker: "b" }), false);
  assert.throws(
    () => kinds.accept({ ...one, worker: "c", device: "CPU", kind: "y" }),
    /a \(GPU, Sluice 1\) and c \(CPU, Sluice 1\)/,
  );
  assert.throws(() => kinds.accept({ ...one, sluice: "2" }), /different bits/);
  assert.throws(() => kinds.accept({ ...one, worker: "\u001b[2J", kind: "y" }), /and \\u001b\[2J \(GPU/);
});

test.run();
