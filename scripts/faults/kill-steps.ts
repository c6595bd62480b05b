/** Processes that are killed in mid-write: what they leave is whole or absent, and the next run ends as if nothing had been. */
import { type ChildProcess, fork } from "node:child_process";
import { createHash } from "node:crypto";
import { access, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { location, readBytes } from "../../test/support/files.ts";
import { FakeHub } from "../../test/support/hub-server.ts";
import { oneFile } from "../one-file.ts";
import { keptFit } from "./kept-fit.ts";
import { Broken, type Ended, type Ground, type Kind, wholeOf } from "./step.ts";

const STORIES = location("weights/gpt2-stories");
const REPO = "org/tiny";
const TINY = "test/golden/gpt2-tiny";

/** Between two looks at a folder: more would take the processor from what is to be killed. */
const LOOKING_MS = 10;

const command = (): string => oneFile(new URL("./command.ts", import.meta.url));

/** A process of this folder's, with what it says. */
class Victim {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  said = "";

  constructor(path: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.child = fork(path, args, {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env: { ...process.env, ...env },
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on("data", (text: Buffer) => {
        this.said += text.toString();
      });
    }
    this.ended = new Promise((resolve) => this.child.on("close", (code) => resolve(code)));
  }

  /** Kills it as soon as `isTime`, which is asked every `pauseMs`; resolves to whether it was alive. */
  async killAt(isTime: () => Promise<boolean>, pauseMs: number): Promise<boolean> {
    while (this.child.exitCode === null && this.child.signalCode === null) {
      if (await isTime()) this.child.kill("SIGKILL");
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    return (await this.ended) === null;
  }
}

async function digestOfFolder(folder: string): Promise<string> {
  const hash = createHash("sha256");
  for (const name of (await readdir(folder)).sort()) hash.update(name).update(await readFile(join(folder, name)));
  return hash.digest("hex");
}

/** A time after something was seen for the first time. */
function after(seen: () => Promise<boolean>, ms: number): () => Promise<boolean> {
  let since: number | undefined;
  return async () => {
    if (since === undefined && (await seen())) since = performance.now();
    return since !== undefined && performance.now() - since >= ms;
  };
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function quantizeKilled({ random, folder }: Ground): Promise<Ended> {
  const what = "quantize, killed";
  const out = join(folder, "out");
  const line = ["quantize", STORIES, "--to", "q8", "--out"];
  const begun = async () => (await readdir(folder)).some((name) => name.endsWith(".part"));
  const victim = new Victim(command(), [...line, out]);
  const wasKilled = await victim.killAt(after(begun, wholeOf(random, 0, 400)), LOOKING_MS);
  const again = new Victim(command(), [...line, join(folder, "again")]);
  if ((await again.ended) !== 0) throw new Broken(`${what}: the next run fails: ${again.said}`);
  const whole = await digestOfFolder(join(folder, "again"));
  if (await isThere(out)) {
    if ((await digestOfFolder(out)) !== whole) throw new Broken(`${what}: left a part under its final name`);
  } else if (!wasKilled) throw new Broken(`${what}: ended by itself without a result: ${victim.said}`);
  return { what, outcome: wasKilled ? "resumed" : "done" };
}

let undisturbedFit: Promise<Uint8Array> | undefined;

async function fitKilled({ random, folder, device }: Ground): Promise<Ended> {
  const what = "fit, killed";
  undisturbedFit ??= keptFit(join(folder, "undisturbed"), device).then(({ bundle }) => bundle);
  const right = await undisturbedFit;
  const out = join(folder, "out");
  const victim = new Victim(oneFile(new URL("./fit-command.ts", import.meta.url)), [out]);
  let done = 0;
  victim.child.on("message", (count) => {
    done = count as number;
  });
  const from = wholeOf(random, 1, 20);
  const wasKilled = await victim.killAt(async () => done >= from, 2);
  const { bundle, kept } = await keptFit(out, device);
  // A device of another adapter would round in another way; this is the same.
  if (Buffer.compare(bundle, right) !== 0) throw new Broken(`${what} after ${done}: resumed to another bundle`);
  if (await isThere(`${out}.partial`)) throw new Broken(`${what}: left its measurements`);
  if (wasKilled && done > 12 && !kept) throw new Broken(`${what} after ${done}: began anew`);
  return { what, outcome: wasKilled ? "resumed" : "done" };
}

async function pullKilled({ random, folder }: Ground): Promise<Ended> {
  const what = "pull, killed";
  const files: Record<string, Uint8Array> = {};
  for (const name of ["config.json", "model.safetensors"]) files[name] = await readBytes(`${TINY}/${name}`);
  const weights = files["model.safetensors"] as Uint8Array;
  const hub = await FakeHub.start({ [REPO]: { commits: [{ sha: "a".repeat(40), files }] } });
  try {
    hub.misbehaviour = { rate: 400_000 };
    const env = { HF_ENDPOINT: hub.url, HF_HUB_CACHE: folder, HF_TOKEN: hub.token };
    const blobs = join(folder, `models--${REPO.replace("/", "--")}`, "blobs");
    const from = wholeOf(random, 1, weights.length - 1);
    const hasSome = async (): Promise<boolean> => {
      for (const name of await readdir(blobs).catch(() => [])) {
        if (name.endsWith(".incomplete") && (await stat(join(blobs, name)).catch(() => null))?.size) return true;
      }
      return false;
    };
    const victim = new Victim(command(), ["pull", REPO], env);
    const wasKilled = await victim.killAt(after(hasSome, (from / 400_000) * 1000), LOOKING_MS);
    hub.misbehaviour = {};
    const again = new Victim(command(), ["pull", REPO], env);
    if ((await again.ended) !== 0) throw new Broken(`${what}: the next pull fails: ${again.said}`);
    const found = await readFile(join(blobs, "..", "snapshots", "a".repeat(40), "model.safetensors"));
    if (Buffer.compare(found, weights) !== 0) throw new Broken(`${what}: resumed to other weights`);
    const left = (await readdir(blobs)).filter((name) => name.endsWith(".incomplete"));
    if (left.length > 0) throw new Broken(`${what}: left ${left.join()}`);
    return { what, outcome: wasKilled ? "resumed" : "done" };
  } finally {
    await hub.stop();
  }
}

export const killKinds: readonly Kind[] = [
  { name: "killed while it writes a model", share: 1, isSlow: true, take: quantizeKilled },
  { name: "killed while it fits", share: 1, isSlow: true, take: fitKilled },
  { name: "killed while it downloads", share: 1, isSlow: true, take: pullKilled },
];
