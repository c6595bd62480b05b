/** Options for bundles: accepted forms, and refusals. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { defineCommand } from "../../src/cli/command.ts";
import { type Interventions, interventionOptions, interventionsFrom } from "../../src/cli/commands/interventions.ts";
import { readOptions, splitArguments } from "../../src/cli/parse-arguments.ts";
import { SluiceError } from "../../src/errors.ts";

/** As a command with these options would read them. */
function read(...args: readonly string[]): Interventions {
  const command = defineCommand({
    name: "test",
    summary: "",
    description: [],
    positionals: {},
    options: interventionOptions,
    examples: [{ line: "", shows: "" }],
    run: async () => undefined,
  });
  const raw = splitArguments(command, args);
  return interventionsFrom(readOptions(command, raw) as unknown as Parameters<typeof interventionsFrom>[0]);
}

test("without the options there is nothing to do", () => {
  const nothing = { bundles: [], strengths: new Map(), params: new Map(), positions: new Map() };
  assert.equal(read(), { ...nothing, promptLength: undefined });
});

test("bundles keep their order; a prefix is split off", () => {
  const { bundles } = read("--with", "b/two.safetensors:as=calm-2", "--with=a.safetensors", "--with", "C:\\x:as=y");
  assert.equal(bundles, [
    { path: "b/two.safetensors", prefix: "calm-2" },
    { path: "a.safetensors", prefix: null },
    { path: "C:\\x", prefix: "y" },
  ]);
});

test("strengths and parameters are numbers by stage id, and the last for an id counts", () => {
  const { strengths, params, promptLength } = read(
    ..."--with B --strength calm=0.5 --strength p/edges=-2 --strength calm=1e-3".split(" "),
    ..."--param calm.alpha=-1.5 --param p/lr.alpha=0 --prompt-length 7".split(" "),
  );
  assert.equal(
    [...strengths],
    [
      ["calm", 0.001],
      ["p/edges", -2],
    ],
  );
  assert.equal(
    [...params],
    [
      ["calm", { alpha: -1.5 }],
      ["p/lr", { alpha: 0 }],
    ],
  );
  assert.is(promptLength, 7);
});

test("positions are a name or JSON, by stage id", () => {
  const given = ["calm=generated", "p/lr=[0,-1]", 'x={"not":{"tokens":[13]}}', "calm=prompt"];
  const { positions } = read("--with", "B", ...given.flatMap((each) => ["--positions", each]));
  assert.equal(
    [...positions],
    [
      ["calm", "prompt"],
      ["p/lr", [0, -1]],
      ["x", { not: { tokens: [13] } }],
    ],
  );
});

test("invalid options are usage errors that show the right form", () => {
  const refused: readonly (readonly [args: string, says: RegExp])[] = [
    ["--with :as=x", /does not name a file[\s\S]*FILE:as=PREFIX/],
    ["--with B:as=", /"" cannot be a prefix/],
    ["--with B:as=a/b", /"a\/b" cannot be a prefix[\s\S]*letters/],
    ["--with B --strength calm", /--strength: "calm" has no =[\s\S]*calm=0\.5/],
    ["--with B --strength =1", /"" is not a stage id/],
    ["--with B --strength a.b=1", /"a\.b" is not a stage id/],
    ["--with B --strength calm=", /--strength calm takes a number, not ""/],
    ["--with B --strength calm=half", /takes a number, not "half"/],
    ["--with B --strength calm=Infinity", /takes a number/],
    ["--with B --strength calm=NaN", /takes a number/],
    ["--with B --param calm=1", /"calm" does not name a parameter[\s\S]*calm\.alpha=-1\.5/],
    ["--with B --param calm.beta=1", /no parameter "beta"[\s\S]*alpha/],
    ["--with B --param .alpha=1", /"" is not a stage id/],
    ["--with B --param calm.alpha=x", /--param calm\.alpha takes a number, not "x"/],
    ["--with B --prompt-length 0", /a whole number of at least 1/],
    ["--with B --positions calm", /has no =[\s\S]*calm=generated/],
    ["--with B --positions calm=promt", /"promt" is neither all, prompt/],
    ["--positions calm=prompt", /no stage "calm": no bundle was given/],
    ["--strength calm=1", /no stage "calm": no bundle was given[\s\S]*--with FILE/],
    ["--param calm.alpha=1", /no stage "calm"/],
  ];
  for (const [args, says] of refused) {
    try {
      read(...args.split(" "));
      assert.unreachable(args);
    } catch (error) {
      assert.instance(error, SluiceError, args);
      assert.is((error as SluiceError).code, "usage");
      assert.match((error as SluiceError).message, says);
    }
  }
});

test("a prompt length without a bundle is accepted: scripts always give it", () => {
  assert.is(read("--prompt-length", "3").promptLength, 3);
});

test.run();
