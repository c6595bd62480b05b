/** What a `<sluice-compare>` shows. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Bundle } from "sluice";
import { engine, type WorkerModel, type WorkerSession } from "../engine.ts";
import { Progress, Slider } from "../parts/controls.tsx";
import { FailureNotice } from "../parts/notice.tsx";
import { type Failure, failureOf, wasStopped } from "../state/failure.ts";
import { EDITED, PairBuffer, runPair, type Sampling } from "../steer/pair.ts";
import { conceptOf, stageWords, strengthWords } from "../steer/words.ts";

export interface ComparisonProps {
  readonly model: string;
  readonly bundle: string;
  readonly prompt: string;
  readonly alpha: number | null;
  readonly strength: number | null;
  readonly sampling: Sampling;
}

interface Opened {
  readonly plain: WorkerModel;
  readonly edited: WorkerModel;
  readonly bundle: Bundle;
}

/** An address if it says so, by a slash at its end or its beginning; otherwise a hub's id. */
function sourceOf(model: string): string {
  return /\/$|^[./]|:\/\//.test(model) ? new URL(model, document.baseURI).href : model;
}

export function Comparison({ model, bundle, prompt, alpha, strength, sampling }: ComparisonProps) {
  const opened = useSignal<Opened | null>(null);
  const plain = useSignal("");
  const edited = useSignal("");
  const words = useSignal("");
  const progress = useSignal<{ readonly done: number; readonly total: number } | null>(null);
  const failure = useSignal<Failure | null>(null);
  const abort = useSignal<AbortController | null>(null);
  const dial = useSignal<number | null>(null);
  const session = useRef<WorkerSession | null>(null);

  useEffect(() => {
    opened.value = null;
    return () => {
      abort.value?.abort();
      opened.value?.plain.dispose();
    };
  }, [model, bundle, opened, abort]);

  const open = async (signal: AbortSignal): Promise<Opened> => {
    if (opened.value) return opened.value;
    const library = await engine();
    progress.value = { done: 0, total: 0 };
    const loaded = await library.load(sourceOf(model), {
      signal,
      onProgress: ({ done, total }) => {
        if (progress.value) progress.value = { done, total };
      },
    });
    const made = await library.loadBundle(new URL(bundle, document.baseURI).href);
    const stage = made.manifest.stages[0];
    words.value = stage ? stageWords(stage, conceptOf(null, made.manifest.fit)) : "";
    dial.value ??= startOf(made, alpha, strength);
    opened.value = { plain: loaded, edited: await loaded.with([made]), bundle: made };
    return opened.value;
  };

  const run = async () => {
    const controller = new AbortController();
    abort.value = controller;
    failure.value = null;
    plain.value = "";
    edited.value = "";
    try {
      const both = await open(controller.signal);
      progress.value = null;
      const buffer = new PairBuffer<string>((left, right) => {
        plain.value = left.join("");
        edited.value = right.join("");
      });
      const pair = runPair(both.plain, both.edited, await both.plain.encode(prompt), {
        sampling,
        signal: controller.signal,
        stages: both.bundle.manifest.stages.map(({ id, strength: made = 1 }) => ({
          id,
          change: { strength: strength ?? made, ...(hasAlpha(both.bundle, id) && { alpha: dial.value ?? 1 }) },
        })),
        onSession: (each) => {
          session.current = each;
        },
      });
      for await (const { side, text } of pair) buffer.push(side, text);
      buffer.flush();
    } catch (error) {
      if (!wasStopped(error)) failure.value = failureOf(error);
    } finally {
      session.current = null;
      progress.value = null;
      abort.value = null;
    }
  };

  const turn = (value: number) => {
    dial.value = value;
    const stage = opened.value?.bundle.manifest.stages[0];
    if (!stage || !opened.value) return;
    const change = hasAlpha(opened.value.bundle, stage.id) ? { alpha: value } : { strength: value };
    session.current?.set(stage.id, change, { sequence: EDITED, cache: "continue" }).catch((error: unknown) => {
      failure.value = failureOf(error);
    });
  };

  const isRunning = abort.value !== null;
  return (
    <section class="compare" aria-label="Plain and edited model">
      <div class="bar">
        <button type="button" disabled={isRunning} onClick={() => void run()}>
          Run
        </button>
        <button type="button" disabled={!isRunning} onClick={() => abort.value?.abort()}>
          Stop
        </button>
        <span class="words">{words.value || `${model} with ${bundle.replace(/^.*\//, "")}`}</span>
      </div>
      {progress.value && <Progress label="Loading" words="Loading the model" {...progress.value} />}
      {dial.value !== null && (
        <Slider
          label={
            opened.value && hasAlpha(opened.value.bundle, opened.value.bundle.manifest.stages[0]?.id ?? "")
              ? "Alpha"
              : "Strength"
          }
          value={dial.value}
          least={-2}
          most={4}
          words={strengthWords(dial.value)}
          onChange={turn}
        />
      )}
      {failure.value && <FailureNotice failure={failure.value} />}
      <div class="pair">
        <div class="plain">
          <h3>Plain</h3>
          <p>
            <span class="given">{prompt}</span>
            {plain.value}
          </p>
        </div>
        <div class="edited">
          <h3>Edited</h3>
          <p>
            <span class="given">{prompt}</span>
            {edited.value}
          </p>
        </div>
      </div>
    </section>
  );
}

function hasAlpha({ manifest }: Bundle, id: string): boolean {
  const stage = manifest.stages.find((each) => each.id === id);
  return stage?.kind === "affine" && (stage.method === "ace" || stage.method === "addition");
}

function startOf(bundle: Bundle, alpha: number | null, strength: number | null): number {
  const [stage] = bundle.manifest.stages;
  if (stage && hasAlpha(bundle, stage.id)) return alpha ?? (stage as { readonly alpha?: number }).alpha ?? 1;
  return strength ?? stage?.strength ?? 1;
}
