/** Measurements of this device: speed, where the time goes, and whether every kernel computes what it should. */
import { signal } from "@preact/signals";
import type { DeviceReport, Profile } from "sluice";
import { engine, type WorkerModel } from "../engine.ts";
import { type Failure, failureOf, wasStopped } from "../state/failure.ts";
import { chosen, model } from "../state/model.ts";
import { type PageReport, pageReport } from "./report.ts";

export interface Measured {
  readonly model: string;
  readonly profile: Profile;
  readonly report: PageReport;
}

export interface Doing {
  readonly words: string;
  readonly done: number;
  readonly total: number;
}

export const measured = signal<Measured | null>(null);
export const doing = signal<Doing | null>(null);
export const measureFailure = signal<Failure | null>(null);

/** How much is compared with the CPU. */
export type Checks = "all" | "quick" | "none";
/** Null until somebody chooses. */
export const checks = signal<Checks | null>(null);

/** Compiling every kernel takes minutes where the CPU computes. */
export function defaultChecks({ device }: WorkerModel): Checks {
  return device.software ? "quick" : "all";
}

let abort: AbortController | null = null;

export function stopMeasuring(): void {
  abort?.abort();
}

export async function measure(): Promise<void> {
  const opened = model.value;
  if (!opened || doing.value) return;
  abort = new AbortController();
  const { signal: stopped } = abort;
  const onProgress = (words: string, done: number, total: number) => {
    doing.value = { words, done, total };
  };
  measureFailure.value = null;
  doing.value = { words: "Preparing", done: 0, total: 0 };
  try {
    const library = await engine();
    const context = opened.config.max_position_embeddings;
    const sizes = {
      promptTokens: Math.max(1, Math.min(64, Math.floor(context / 2))),
      newTokens: Math.max(1, Math.min(16, Math.floor(context / 2) - 1)),
    };
    const options = { ...sizes, signal: stopped, onProgress };
    const speed = await library.deviceReport(opened, { ...options, checks: "none" });
    const profile = await library.profileModel(opened, await promptOf(opened), {
      newTokens: Math.max(1, Math.min(8, Math.floor(context / 2) - 1)),
      measures: false,
      signal: stopped,
      onProgress,
    });
    const gpuBytes = await opened.gpuBytes;
    const show = async (report: DeviceReport): Promise<void> => {
      const whole = await pageReport(report, profile, gpuBytes);
      measured.value = { model: chosen.value?.id ?? "", profile, report: whole };
    };
    await show(speed);
    // What is known is shown, and can be saved, while the comparison with the CPU takes its time.
    const extent = checks.value ?? defaultChecks(opened);
    if (extent === "none") return;
    const { checks: compared } = await library.deviceReport(opened, { ...options, checks: extent });
    await show({ ...speed, checks: compared });
  } catch (error) {
    if (!wasStopped(error)) measureFailure.value = failureOf(error);
  } finally {
    doing.value = null;
    abort = null;
  }
}

async function promptOf(opened: WorkerModel): Promise<readonly number[]> {
  if (!opened.tokenizer) return [2, 0, 1, 1, 0];
  return (await opened.encode("Once upon a time there was a little girl who lived in a house near the sea.")).slice(
    0,
    64,
  );
}
