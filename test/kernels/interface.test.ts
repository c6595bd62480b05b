/** What is read of a shader's interface, and what becomes of values that do not fit it. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readInterface } from "../../src/kernels/interface.ts";
import { checkArgs, packArgs } from "../../src/kernels/step.ts";
import { refusal } from "../formats/refusal.ts";

const CODE = `
@group(0) @binding(0) var<uniform> step: Step;
const COUNT = 2u; // struct Args { not: u32 }
struct Args {
  first: u32, // @group(1) in a comment
  scale: f32,
  list: vec4u,
  table: array<vec4u, COUNT>,
  last: u32,
}
@group(1) @binding(4) var<storage, read_write> output: array<vec4f>;
@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(12) var<storage, read> input: array<atomic<u32>>;
var<workgroup> own: array<f32, 4>;
`;

const block = { name: "k", args: readInterface(CODE, "k").args };
const values = { first: 7, scale: 0.5, list: [1, 2, 3, 4], table: [5, 6, 7, 8, 9, 10, 11, 12], last: 9 };

test("bindings of group 1 by number, args in the order of their structure", () => {
  assert.equal(readInterface(CODE, "k"), {
    bindings: [
      { name: "args", binding: 0, access: "args" },
      { name: "output", binding: 4, access: "read_write" },
      { name: "input", binding: 12, access: "read" },
    ],
    args: [
      { name: "first", type: "u32" },
      { name: "scale", type: "f32" },
      { name: "list", type: "u32", vec4s: 1 },
      { name: "table", type: "u32", vec4s: 2 },
      { name: "last", type: "u32" },
    ],
  });
  assert.equal(readInterface("@compute @workgroup_size(1) fn main() {}", "k"), { bindings: [], args: [] });
});

test("what cannot be placed is refused by the kernel's name", async () => {
  const refused = (code: string, what: string) => refusal("gpu", () => readInterface(code, "k"), "Kernel k: ", what);
  await refused(CODE.replace("scale: f32", "scale: vec2f"), "args.scale is of type vec2f");
  await refused(CODE.replace("const COUNT = 2u", "const COUNT = 1u + 1u"), "args.table has COUNT elements");
  await refused(CODE.replace("struct Args {\n", "struct Other {\n"), "args is of type Args, which is not a structure");
  await refused(CODE.replace("binding(12)", "binding(4)"), "two variables have binding 4");
  await refused(CODE.replace("uniform> args", "uniform> values"), "the uniform of group 1 is called values");
});

test("args lie as WGSL lays out their structure", () => {
  const words = packArgs(block, values);
  const half = new Uint32Array(new Float32Array([0.5]).buffer)[0] as number;
  assert.equal([...words], [7, half, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 9, 0, 0, 0]);
});

test("a value that is missing, misnamed or of another form is refused by kernel and field", async () => {
  const { first: _, ...others } = values;
  await refusal("gpu", () => packArgs(block, others), "Kernel k was given no value for args.first");
  await refusal("gpu", () => packArgs(block, { ...values, first: [1] }), "given 1 numbers for args.first");
  await refusal("gpu", () => packArgs(block, { ...values, list: 1 }), "given a number for args.list");
  await refusal("gpu", () => packArgs(block, { ...values, list: [1, 2, 3, 4, 5] }), "given 5 numbers for args.list");
  await refusal("gpu", () => checkArgs([block], { ...values, frist: 1 }), "Kernel k was given a value for args.frist");
  // A kernel and its merge share what a dispatch gives.
  const merge = { name: "m", args: [{ name: "frist", type: "u32" }] as const };
  checkArgs([block, merge], { ...values, frist: 1 });
});

test.run();
