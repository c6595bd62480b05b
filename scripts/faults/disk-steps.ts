/** Outputs that cannot be written: a full disk, a folder, a link, a device, a missing place. */
import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { library } from "../../src/cli/library.ts";
import { main } from "../../src/cli/main.ts";
import { FileStore } from "../../src/cli/response-store.ts";
import { fitDirection, load, parseSafetensors } from "../../src/index.ts";
import { FakeOutput, FakeSignals, input } from "../../test/cli/fake-process.ts";
import { location } from "../../test/support/files.ts";
import { codeOfGoodError } from "./judge.ts";
import { Broken, type Ground, type Kind, oneOf, wholeOf } from "./step.ts";
import { MODEL } from "./works.ts";

const BUNDLE = location(`${MODEL}/neurons-mlp_out.safetensors`);

interface Command {
  readonly name: string;
  readonly line: readonly string[];
  readonly writes: "file" | "folder";
}

const commands: readonly Command[] = [
  { name: "logits", line: ["logits", location(MODEL), "--tokens", "1,2,3"], writes: "file" },
  {
    name: "capture",
    line: ["capture", location(MODEL), "--tokens", "1,2", "--site", "resid_post.1"],
    writes: "file",
  },
  { name: "bundle compose", line: ["bundle", "compose", `${BUNDLE}:as=a`, `${BUNDLE}:as=b`], writes: "file" },
  { name: "quantize", line: ["quantize", location(MODEL), "--to", "q8"], writes: "folder" },
  { name: "bake", line: ["bake", location(MODEL), "--with", BUNDLE], writes: "folder" },
];

/** A place for an output. */
interface Place {
  readonly name: string;
  /** @returns the path to give, which is not there or in the way */
  make(ground: Ground): Promise<string>;
}

const OLD = "what was there before";

const places: readonly Place[] = [
  { name: "new", make: async ({ folder }) => join(folder, "out") },
  {
    name: "an old file",
    async make({ folder }) {
      await writeFile(join(folder, "out"), OLD, { mode: 0o640 });
      return join(folder, "out");
    },
  },
  {
    name: "a link to a file",
    async make({ folder }) {
      await writeFile(join(folder, "old"), OLD);
      await symlink("old", join(folder, "out"));
      return join(folder, "out");
    },
  },
  {
    name: "a link to nothing",
    async make({ folder }) {
      await symlink("nothing", join(folder, "out"));
      return join(folder, "out");
    },
  },
  {
    name: "a link to /dev/full",
    async make({ folder }) {
      await symlink("/dev/full", join(folder, "out"));
      return join(folder, "out");
    },
  },
  { name: "/dev/full", make: async () => "/dev/full" },
  {
    name: "a folder with files",
    async make({ folder }) {
      await mkdir(join(folder, "out"));
      await writeFile(join(folder, "out", "old"), OLD);
      return join(folder, "out");
    },
  },
  {
    name: "an empty folder",
    async make({ folder }) {
      await mkdir(join(folder, "out"));
      return join(folder, "out");
    },
  },
  { name: "a missing folder", make: async ({ folder }) => join(folder, "none", "out") },
  {
    name: "below a file",
    async make({ folder }) {
      await writeFile(join(folder, "old"), OLD);
      return join(folder, "old", "out");
    },
  },
  { name: "too long a name", make: async ({ folder }) => join(folder, "o".repeat(300)) },
  { name: "a full disk", make: ({ disk, random }) => filled(disk, wholeOf(random, 0, 60) * 4096) },
];

/** A path on the small disk, which has that many bytes left. */
async function filled(disk: Ground["disk"], room: number): Promise<string> {
  if (!disk) throw new Error("There is no small disk");
  for (const name of await readdir(disk.folder)) await rm(join(disk.folder, name), { recursive: true });
  await writeFile(join(disk.folder, "filler"), new Uint8Array(Math.max(0, disk.bytes - room)));
  return join(disk.folder, "out");
}

/** What lies beside an output and at its place: names, and contents of files. */
async function pictureOf(path: string): Promise<ReadonlyMap<string, string>> {
  const folder = dirname(path);
  const found = new Map<string, string>();
  for (const name of path.startsWith("/dev/") ? [] : await readdir(folder).catch(() => [])) {
    const entry = join(folder, name);
    const is = await stat(entry).catch(() => null);
    if (is?.isFile()) found.set(name, `${is.mode} ${(await readFile(entry)).toString("base64")}`);
    else if (is?.isDirectory()) found.set(name, (await readdir(entry)).join());
    else found.set(name, "other");
  }
  return found;
}

function differences(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): readonly string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => before.get(name) !== after.get(name));
}

async function isWhole(path: string, { writes }: Command): Promise<boolean> {
  if (writes === "file") return parseSafetensors(await readFile(path)).tensors.size > 0;
  return parseSafetensors(await readFile(join(path, "model.safetensors"))).tensors.size > 0;
}

async function runCommand(line: readonly string[], device: GPUDevice): Promise<{ code: number; said: string }> {
  const [stdout, stderr] = [new FakeOutput(), new FakeOutput()];
  const code = await main(line, {
    library: { ...library, load: (source, options) => load(source, { ...options, device }) },
    stdin: input([]),
    stdout,
    stderr,
    signals: new FakeSignals(),
    env: {},
    exit: () => undefined,
  });
  return { code, said: stderr.text };
}

export const diskKinds: readonly Kind[] = [
  {
    name: "output in the way",
    share: 12,
    async take(ground) {
      const command = oneOf(ground.random, commands);
      const place = oneOf(
        ground.random,
        places.filter(({ name }) => name !== "a full disk" || ground.disk),
      );
      const what = `${command.name} to ${place.name}`;
      const path = await place.make(ground);
      const before = await pictureOf(path);
      const { code, said } = await runCommand([...command.line, "--out", path], ground.device);
      const changed = differences(before, await pictureOf(path));
      if (/defect|TypeError|undefined/.test(said)) throw new Broken(`${what}: says ${said}`);
      if (code === 0) {
        // Links are followed, as a shell's `>` does: their targets are written.
        const litter = changed.filter((name) => ![basename(path), "old", "nothing"].includes(name));
        if (litter.length > 0) throw new Broken(`${what}: leaves ${litter.join()}`);
        if (!path.startsWith("/dev/") && !(await isWhole(path, command))) throw new Broken(`${what}: is not whole`);
        return { what, outcome: "done" };
      }
      if (![1, 2].includes(code)) throw new Broken(`${what}: ends with ${code}`);
      if (changed.length > 0) throw new Broken(`${what}: was refused, and left ${changed.join()}: ${said}`);
      if (!said.includes("out") && !said.includes(path)) throw new Broken(`${what}: does not name the output: ${said}`);
      if (!/\n {2}\S/.test(said) && code === 1) throw new Broken(`${what}: says nothing of what to do: ${said}`);
      return { what, outcome: code === 2 ? "usage" : "not_written" };
    },
  },
  {
    name: "measurements cannot be kept",
    share: 4,
    async take(ground) {
      const kind = oneOf(
        ground.random,
        ["full device", "full disk", "folder"].filter((each) => each !== "full disk" || ground.disk),
      );
      let out = join(ground.folder, "out");
      if (kind === "full device") await symlink("/dev/full", `${out}.partial`);
      else if (kind === "folder") await mkdir(`${out}.partial`);
      else out = await filled(ground.disk, wholeOf(ground.random, 0, 2) * 4096);
      const what = `a fit whose measurements go to a ${kind}`;
      const model = await load(location(MODEL), { device: ground.device, plan: "reference" });
      const sentences = Array.from({ length: 12 }, (_, i) => [1, 2, 3, i + 4]);
      const classes = { positive: sentences.slice(0, 6), negative: sentences.slice(6) };
      try {
        const store = await FileStore.open(out, { what });
        await store.during(fitDirection(model, "ace", { ...classes, store }));
        await store.remove();
        return { what, outcome: "done" };
      } catch (error) {
        return { what, outcome: codeOfGoodError(what, error, ["not_written", "not_found", "bad_file"]) };
      } finally {
        model.dispose();
      }
    },
  },
];
