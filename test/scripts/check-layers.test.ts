import { test } from "uvu";
import * as assert from "uvu/assert";
import { check, circles } from "../../scripts/check-layers.ts";

/** What is reported for a file with this text, without the file's name. */
function problems(file: string, text: string): string[] {
  return check(file, text).map((problem) => problem.slice(file.length + 1));
}

test("imports from below and from the same folder are fine", () => {
  const text = `import { a } from "../kernels/kernel.ts";
import type { Plan } from "./plan.ts";
import { link } from "wesl/core";
export const name = "../runtime/executor.ts";
// import { x } from "../runtime/executor.ts";
`;
  assert.equal(problems("src/compile/lower.ts", text), []);
});

test("an upward import is found, however it is written", () => {
  for (const statement of [
    `import { x } from "../runtime/executor.ts";`,
    `import type { X } from "../runtime/executor.ts";`,
    `import {\n  type X,\n  y,\n} from "../runtime/executor.ts";`,
    `export * from "../runtime/executor.ts";`,
    `import "../runtime/executor.ts";`,
    `const x = await import("../runtime/executor.ts");`,
    `type X = import("../runtime/executor.ts").X;`,
  ]) {
    const found = problems("src/kernels/kernel.ts", `/** first line */\n${statement}\n`);
    assert.is(found.length, 1, statement);
    assert.match(found[0] ?? "", /^2: imports src\/runtime\/executor.ts, upwards/);
  }
});

test("paths of one layer do not import each other", () => {
  assert.match(problems("src/formats/a.ts", `import "../graph/graph.ts";\n`)[0] ?? "", /sideways/);
  assert.match(problems("src/profile/a.ts", `import "../fit/aura.ts";\n`)[0] ?? "", /sideways/);
  assert.equal(problems("src/execution/pipelines.ts", `import type { Kernel } from "../kernels/kernel.ts";\n`), []);
});

test("a circle of modules is found, in one layer and through types and late imports", () => {
  const modules = new Map([
    ["src/graph/a.ts", `import { b } from "./b.ts";\n`],
    ["src/graph/b.ts", `import type { C } from "./c.ts";\n`],
    ["src/graph/c.ts", `export const late = () => import("./a.ts");\n// import "./d.ts";\n`],
    ["src/graph/d.ts", `import "./a.ts";\nimport "./e.ts";\n`],
    ["src/graph/e.ts", `export const nothing = 0;\n`],
  ]);
  assert.equal(circles(modules), ["src/graph/a.ts: imports itself by way of src/graph/b.ts, src/graph/c.ts"]);
  modules.set("src/graph/c.ts", "export const late = 0;\n");
  assert.equal(circles(modules), []);
  modules.set("src/graph/e.ts", `import "./e.ts";\n`);
  assert.equal(circles(modules), ["src/graph/e.ts: imports itself by way of itself"]);
});

test("a conflict that a merge left is found", () => {
  assert.match(problems("README.md", `# A\n${"<".repeat(7)} HEAD\n`)[0] ?? "", /^2: a merge conflict/);
});

test("what a page does not have is used in Node's modules alone", () => {
  const text = `import { readFile } from "node:fs/promises";\nimport { create } from "webgpu";\nprocess.exit(1);\n`;
  assert.is(problems("src/model/session.ts", text).length, 3);
  assert.equal(problems("src/gpu/node-host.ts", text), []);
  assert.equal(problems("src/cli/main.ts", text), []);
  assert.equal(problems("src/model/session.ts", `await this.process.run(); const s = "process.exit";\n`), []);
});

test("a module in no layer, a long one and one with something left for later are reported", () => {
  assert.match(problems("src/misc/a.ts", `import "../errors.ts";\n`)[0] ?? "", /in no layer/);
  assert.match(problems("shaders/a.wgsl", "\n".repeat(401))[0] ?? "", /401 lines/);
  assert.match(problems("test/a.test.ts", `// ${"TO"}${"DO"} later\n`)[0] ?? "", /^1: /);
});

test.run();
