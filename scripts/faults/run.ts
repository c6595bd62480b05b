/** Runs schedules, and keeps what became of them. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isGone } from "../../src/cli/fresh-path.ts";
import { openAdapter } from "../../src/gpu/node.ts";
import { load, resources } from "../../src/index.ts";
import { location } from "../../test/support/files.ts";
import { rememberPipelines } from "../../test/support/remember-pipelines.ts";
import { randomOf } from "../fuzz/cases.ts";
import type { Random } from "../fuzz/target.ts";
import { deviceKinds } from "./device-steps.ts";
import { diskKinds } from "./disk-steps.ts";
import { fileKinds } from "./file-steps.ts";
import { mustBeFree } from "./judge.ts";
import { killKinds } from "./kill-steps.ts";
import { Broken, type Ground, type Kind, oneOf, type SmallDisk, wholeOf } from "./step.ts";
import { MODEL, type Work, works } from "./works.ts";

const DISK_BYTES = 512 << 10;

const kinds: readonly Kind[] = [...deviceKinds, ...diskKinds, ...fileKinds, ...killKinds];

/** What the schedules of a round begin with, in an order of each round's own: every kind comes in every round. */
const round: readonly Kind[] = kinds.flatMap((kind) => Array.from({ length: kind.share }, () => kind));

/** What later steps are drawn from. */
const quick = round.filter(({ isSlow }) => !isSlow);

function firstKind(seed: number, index: number): Kind {
  const random = randomOf(seed, -1 - Math.floor(index / round.length));
  const order = round.map((kind) => ({ kind, at: random() })).sort((a, b) => a.at - b.at);
  return order[index % round.length]?.kind as Kind;
}

export interface FaultOptions {
  readonly seed: number;
  /** Numbers of the schedules: each is made of its number and the seed alone. */
  readonly indices: readonly number[];
  /** Names of what may be under way; default: all. */
  readonly works?: readonly string[] | undefined;
  /** Begins no further schedule after this. */
  readonly seconds?: number;
  /** Told of each step: `generate: aborted`, or the promise that was broken. */
  readonly onStep?: (index: number, kind: string, ended: string, isBroken: boolean) => void;
}

/** What became of the steps of a kind. */
export interface KindSummary {
  readonly name: string;
  /** How often each outcome was seen. */
  readonly outcomes: ReadonlyMap<string, number>;
  readonly broken: readonly string[];
}

export interface FaultSummary {
  /** How many were run. */
  readonly schedules: number;
  readonly kinds: readonly KindSummary[];
  /** Whether full disks could be tried. */
  readonly hasDisk: boolean;
}

export async function runFaults(options: FaultOptions): Promise<FaultSummary> {
  removeWhatKilledRunsLeft();
  const root = mkdtempSync(join(tmpdir(), `sluice-faults-${process.pid}-`));
  const disk = mountDisk(join(root, "disk"));
  const cleanUp = (): void => removeRoot(root);
  // A process that a signal ends runs no `finally`.
  const onSignal = (signal: NodeJS.Signals): void => {
    cleanUp();
    for (const each of ENDING) process.off(each, onSignal);
    process.kill(process.pid, signal);
  };
  for (const each of ENDING) process.on(each, onSignal);
  try {
    const began = performance.now();
    const run = await FaultRun.begin(root, disk, options);
    let schedules = 0;
    for (const index of options.indices) {
      if (performance.now() - began > (options.seconds ?? Number.POSITIVE_INFINITY) * 1000) break;
      await run.schedule(index);
      schedules++;
    }
    return { schedules, kinds: run.summaries, hasDisk: disk !== null };
  } finally {
    for (const each of ENDING) process.off(each, onSignal);
    cleanUp();
  }
}

const ENDING = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A device that Sluice does not count as its own. */
async function newDevice(): Promise<GPUDevice> {
  const { adapter } = await openAdapter({});
  return adapter.requestDevice();
}

/** A run that SIGKILL ended could not clean up: its folder names its process. */
function removeWhatKilledRunsLeft(): void {
  for (const name of readdirSync(tmpdir())) {
    const [, pid] = /^sluice-faults-(\d+)-/.exec(name) ?? [];
    if (pid === undefined || !isGone(Number(pid))) continue;
    const root = join(tmpdir(), name);
    if (statSync(root, { throwIfNoEntry: false })?.uid === process.getuid?.()) removeRoot(root);
  }
}

/** The folder of a run, and the disk that is mounted in it. */
function removeRoot(root: string): void {
  const disk = statSync(join(root, "disk"), { throwIfNoEntry: false });
  if (disk && disk.dev !== statSync(root).dev) execFileSync("umount", ["--lazy", join(root, "disk")]);
  rmSync(root, { recursive: true, force: true });
}

/** A file system of a few hundred kilobytes; only root can mount one. */
function mountDisk(folder: string): SmallDisk | null {
  try {
    execFileSync("mkdir", [folder]);
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_BYTES}`, "tmpfs", folder], { stdio: "ignore" });
    return { folder, bytes: DISK_BYTES };
  } catch {
    // Then what it would show is not tried, and the summary says so.
    return null;
  }
}

/** What a sound load and a generation give. */
async function nextLoad(device: GPUDevice): Promise<string> {
  const model = await load(location(MODEL), { device, plan: "reference" });
  try {
    return (await model.generate([1, 2, 3], { maxNewTokens: 6 }).result()).tokens.join();
  } finally {
    model.dispose();
  }
}

class FaultRun {
  readonly #root: string;
  readonly #disk: SmallDisk | null;
  readonly #options: FaultOptions;
  readonly #device: GPUDevice;
  readonly #works: readonly Work[];
  /** Ids of before. */
  readonly #right: string;
  readonly #seen = new Map<string, { readonly outcomes: Map<string, number>; readonly broken: string[] }>();

  private constructor(root: string, disk: SmallDisk | null, options: FaultOptions, device: GPUDevice, right: string) {
    this.#root = root;
    this.#disk = disk;
    this.#options = options;
    this.#device = device;
    this.#right = right;
    this.#works = works.filter(({ name }) => options.works?.includes(name) ?? true);
    if (this.#works.length === 0) throw new Error(`The works are ${works.map(({ name }) => name).join(", ")}`);
    for (const { name } of kinds) this.#seen.set(name, { outcomes: new Map(), broken: [] });
  }

  static async begin(root: string, disk: SmallDisk | null, options: FaultOptions): Promise<FaultRun> {
    const device = rememberPipelines(await newDevice());
    return new FaultRun(root, disk, options, device, await nextLoad(device));
  }

  get summaries(): readonly KindSummary[] {
    return [...this.#seen].map(([name, seen]) => ({ name, ...seen }));
  }

  /** One to three steps, and the next load. */
  async schedule(index: number): Promise<void> {
    const random = randomOf(this.#options.seed, index);
    const steps = wholeOf(random, 1, 3);
    for (let step = 0; step < steps; step++) {
      const kind = step === 0 ? firstKind(this.#options.seed, index) : oneOf(random, quick);
      await this.#step(index, kind, random);
    }
    const found = await nextLoad(this.#device).catch((error: unknown) => `${error}`);
    if (found !== this.#right) this.#note(index, "next load", `the next load gave ${found}, not ${this.#right}`);
  }

  async #step(index: number, kind: Kind, random: Random): Promise<void> {
    const folder = mkdtempSync(join(this.#root, "step-"));
    const before = resources();
    const ground: Ground = {
      random,
      works: this.#works,
      device: this.#device,
      openDevice: newDevice,
      folder,
      disk: this.#disk,
    };
    try {
      const { what, outcome } = await kind.take(ground);
      await mustBeFree(`${kind.name}: ${what}`, before);
      const outcomes = this.#seen.get(kind.name)?.outcomes;
      outcomes?.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      this.#options.onStep?.(index, kind.name, `${what}: ${outcome}`, false);
    } catch (error) {
      this.#note(index, kind.name, error instanceof Broken ? error.message : ((error as Error).stack ?? `${error}`));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  #note(index: number, kind: string, what: string): void {
    const seen = this.#seen.get(kind) ?? { outcomes: new Map<string, number>(), broken: [] };
    this.#seen.set(kind, seen);
    seen.broken.push(what);
    this.#options.onStep?.(index, kind, what, true);
  }
}
