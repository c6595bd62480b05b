/** What goes wrong with a device, or with what runs on it: aborts, ends in mid-work, losses, and too little memory. */
import { load, type Model } from "../../src/index.ts";
import { location } from "../../test/support/files.ts";
import { type Watch, watchedDevice } from "../../test/support/watched-device.ts";
import { codeOfGoodError } from "./judge.ts";
import { Broken, type Ended, type Ground, type Kind, oneOf, wholeOf } from "./step.ts";
import { type Disposable, MODEL, type Work } from "./works.ts";

/** Calls of the device that a work makes undisturbed, loading included, and its result. */
interface Known {
  readonly calls: number;
  readonly loadCalls: number;
  readonly result: string;
}

const known = new Map<Work, Promise<Known>>();

/** What a work does when nothing goes wrong; run once, on the sound device. */
function undisturbed(work: Work, device: GPUDevice): Promise<Known> {
  const running = known.get(work) ?? runUndisturbed(work, device);
  known.set(work, running);
  return running;
}

async function runUndisturbed(work: Work, device: GPUDevice): Promise<Known> {
  let calls = 0;
  const watched = watchedDevice(device, {
    onCall: (number) => {
      calls = number;
    },
  });
  const model = await load(location(MODEL), { device: watched, plan: "reference" });
  const loadCalls = calls;
  const result = await work.run(model, new AbortController().signal, () => undefined);
  model.dispose();
  return { calls, loadCalls, result };
}

/** What there is when something goes wrong. */
interface Moment {
  readonly stop: AbortController;
  readonly device: GPUDevice;
  readonly model: Model | undefined;
  readonly opened: readonly Disposable[];
}

/** Loads and works, with something after one of the device's calls: before whatever else runs, or a turn later. */
async function disturb(
  ground: Ground,
  device: GPUDevice,
  watch: Omit<Watch, "onCall">,
  codes: readonly string[],
  happen: (moment: Moment) => void,
): Promise<Ended> {
  const work = oneOf(ground.random, ground.works);
  const { calls, loadCalls, result } = await undisturbed(work, ground.device);
  // Loading is short: half of the time it is what is disturbed.
  const at = ground.random() < 0.3 ? wholeOf(ground.random, 1, loadCalls) : wholeOf(ground.random, loadCalls, calls);
  const isLater = ground.random() < 0.5;
  const stop = new AbortController();
  const opened: Disposable[] = [];
  let model: Model | undefined;
  const now = (): void => happen({ stop, device, model, opened });
  const watched = watchedDevice(device, {
    ...watch,
    onCall(number) {
      if (number !== at) return;
      if (isLater) setTimeout(now, 0);
      else queueMicrotask(now);
    },
  });
  const what = `${work.name}, at call ${at} of ${calls}${isLater ? ", a turn later" : ""}`;
  const complaints = listen(device);
  const ended = await tried();
  const [first] = await complaints.all();
  // A buffer without memory cannot be used, and each use is an error.
  if (first && !watch.isOutOfMemory) throw new Broken(`${what}: the device complained to its owner: ${first}`);
  return ended;

  async function tried(): Promise<Ended> {
    try {
      model = await load(location(MODEL), { device: watched, plan: "reference", signal: stop.signal });
      const found = await work.run(model, stop.signal, (part) => opened.push(part));
      if (found !== result) throw new Broken(`${what}: another result than undisturbed`);
      return { what: work.name, outcome: "done" };
    } catch (error) {
      if (error instanceof Broken) throw error;
      return { what: work.name, outcome: codeOfGoodError(what, error, codes) };
    } finally {
      for (const part of opened) part.dispose();
      model?.dispose();
    }
  }
}

/** What a device tells its owner from now on, who shares it. */
function listen(device: GPUDevice): { all(): Promise<readonly string[]> } {
  const heard: string[] = [];
  const hear = (event: GPUUncapturedErrorEvent): void => {
    event.preventDefault();
    heard.push(event.error.message);
  };
  device.addEventListener("uncapturederror", hear);
  return {
    async all() {
      // A device that is lost does nothing more.
      await device.queue.onSubmittedWorkDone().catch(() => undefined);
      device.removeEventListener("uncapturederror", hear);
      return heard;
    },
  };
}

export const deviceKinds: readonly Kind[] = [
  {
    name: "aborted",
    share: 12,
    take: (ground) => disturb(ground, ground.device, {}, ["aborted"], ({ stop }) => stop.abort()),
  },
  {
    name: "model disposed of",
    share: 10,
    take: (ground) => disturb(ground, ground.device, {}, ["usage"], ({ model }) => model?.dispose()),
  },
  {
    name: "session disposed of",
    share: 8,
    take: (ground) =>
      disturb(ground, ground.device, {}, ["usage"], ({ opened }) => {
        for (const part of opened) part.dispose();
      }),
  },
  {
    name: "device lost",
    share: 1,
    async take(ground) {
      const device = await ground.openDevice();
      return disturb(ground, device, {}, ["device_lost"], () => device.destroy());
    },
  },
  {
    name: "out of memory",
    share: 10,
    async take(ground) {
      const from = wholeOf(ground.random, 1, 200);
      const isLasting = ground.random() < 0.5;
      let failed = false;
      const isOutOfMemory = (number: number): boolean => {
        if (number < from || (failed && !isLasting)) return false;
        failed = true;
        return true;
      };
      return disturb(ground, ground.device, { isOutOfMemory }, ["device_limit"], () => undefined);
    },
  },
  {
    name: "small limits",
    share: 6,
    async take(ground) {
      const bytes = 2 ** wholeOf(ground.random, 10, 18);
      const limits = { maxBufferSize: bytes, maxStorageBufferBindingSize: bytes };
      return disturb(ground, ground.device, { limits }, ["device_limit"], () => undefined);
    },
  },
];
