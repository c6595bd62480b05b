/**
 * A hundred schedules of what goes wrong, of every kind (`npm run faults` runs a thousand): errors say what to do, nothing is
 * held afterwards, and the next load gives the ids of before.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { runFaults } from "../../scripts/faults/run.ts";

const SEED = 3;
const SCHEDULES = 100;
/** Few: each compiles kernels of its own, which takes most of the time. */
const WORKS = ["generate", "logits"];

test("a hundred schedules of faults, of every kind", async () => {
  const broken: string[] = [];
  const killed = leftByAKilledRun();
  const { schedules, kinds } = await runFaults({
    seed: SEED,
    works: WORKS,
    indices: [...Array(SCHEDULES).keys()],
    onStep: (index, kind, ended, isBroken) => {
      if (isBroken) broken.push(`--seed ${SEED} --works ${WORKS} --only ${index}: ${kind}: ${ended}`);
    },
  });
  assert.equal(broken, []);
  assert.is(schedules, SCHEDULES);
  assert.not(existsSync(killed), "what a killed run left is removed by the next");
  for (const { name, outcomes } of kinds) assert.ok(outcomes.size > 0, name);
});

/** What SIGKILL leaves of a run, with its disk where disks can be mounted. */
function leftByAKilledRun(): string {
  const { pid } = spawnSync(process.execPath, ["--version"]);
  const root = mkdtempSync(join(tmpdir(), `sluice-faults-${pid}-`));
  mkdirSync(join(root, "disk"));
  spawnSync("mount", ["-t", "tmpfs", "-o", "size=65536", "tmpfs", join(root, "disk")]);
  return root;
}

test.run();
