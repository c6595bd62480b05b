/** A model's files that change while they are read. */
import { copyFile, mkdir, open, readFile, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { load } from "../../src/index.ts";
import { location } from "../../test/support/files.ts";
import { watchedDevice } from "../../test/support/watched-device.ts";
import { codeOfGoodError } from "./judge.ts";
import { Broken, type Ground, type Kind, oneOf, wholeOf } from "./step.ts";
import { MODEL } from "./works.ts";

interface Change {
  readonly name: string;
  make(path: string, ground: Ground): Promise<void>;
}

/** Other values from the middle on: as large, and as sound. */
async function otherWeights(path: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(await readFile(path));
  // Bits of mantissas alone, so that every number stays finite.
  for (let at = bytes.length - 16; at > bytes.length / 4; at -= 64) bytes[at] = (bytes[at] ?? 0) ^ 0x55;
  return bytes;
}

const changes: readonly Change[] = [
  {
    name: "shrinks",
    make: async (path, { random }) => truncate(path, wholeOf(random, 0, (await stat(path)).size - 1)),
  },
  { name: "is deleted", make: (path) => rm(path) },
  {
    name: "is overwritten",
    async make(path) {
      const bytes = await otherWeights(path);
      const file = await open(path, "r+");
      await file.write(bytes, 0, bytes.length, 0);
      await file.close();
    },
  },
  {
    name: "is replaced",
    async make(path) {
      await writeFile(`${path}.new`, await otherWeights(path));
      await rename(`${path}.new`, path);
    },
  },
  {
    name: "grows",
    async make(path) {
      const file = await open(path, "a");
      await file.write(new Uint8Array(1000));
      await file.close();
    },
  },
];

const PROMPT = [1, 2, 3];
const FILES = ["config.json", "model.safetensors"];

async function tokensOf(folder: string, device: GPUDevice): Promise<string> {
  const model = await load(folder, { device, plan: "reference" });
  try {
    const { data } = await model.logits(PROMPT);
    return new Uint32Array(data.buffer, data.byteOffset, data.length).join(" ");
  } finally {
    model.dispose();
  }
}

let original: Promise<string> | undefined;

export const fileKinds: readonly Kind[] = [
  {
    name: "file changes",
    share: 10,
    async take(ground) {
      const { random, device, folder } = ground;
      original ??= tokensOf(location(MODEL), device);
      const right = await original;
      const change = oneOf(random, changes);
      const isConfig = random() < 0.15 && change.name !== "is overwritten" && change.name !== "is replaced";
      const name = isConfig ? "config.json" : "model.safetensors";
      const model = join(folder, "model");
      await mkdir(model);
      for (const file of FILES) await copyFile(join(location(MODEL), file), join(model, file));
      const what = `${name} ${change.name}`;
      const at = wholeOf(random, 1, 40);
      let changing: Promise<void> | undefined;
      const begin = (): void => {
        changing ??= change.make(join(model, name), ground);
      };
      const turns = wholeOf(random, 0, 12);
      // In half of all cases at one of the device's calls, else some turns of the loop after the beginning.
      const byCall = random() < 0.5;
      const watched = watchedDevice(device, { onCall: (number) => byCall && number === at && begin() });
      if (!byCall) void waitTurns(turns).then(begin);
      try {
        const found = await tokensOf(model, watched);
        await changing;
        if (found === right) return { what, outcome: "done" };
        const changed = await tokensOf(model, device).catch(() => "");
        if (found !== changed)
          throw new Broken(`${what} at ${byCall ? `call ${at}` : `turn ${turns}`}: mixes old and new`);
        return { what, outcome: "done" };
      } catch (error) {
        if (error instanceof Broken) throw error;
        const codes = ["bad_file", "not_found", "bad_weights", "bad_config"];
        return { what, outcome: codeOfGoodError(`${what} at ${at}`, error, codes) };
      } finally {
        await changing?.catch(() => undefined);
      }
    },
  },
];

async function waitTurns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}
