/** Plain and edited from a server: two requests with one seed, of which one names the bundles. */
import { bundles, changeOf, hasStages, settingsOf } from "../state/bundles.ts";
import type { Server } from "../state/server.ts";
import { PairBuffer, type Sampling } from "../steer/pair.ts";
import type { SideName } from "../steer/run-state.ts";
import type { Both, Told } from "./records.ts";

export { recordsOf } from "./records.ts";

import { type Piece, streamAnswer } from "./stream.ts";

/** Likeliest tokens that are asked for; OpenAI's completions tell no more. */
const TOP = 5;

export interface Wanted {
  readonly path: "/v1/completions" | "/v1/chat/completions";
  /** A prompt, or messages. */
  readonly input: Readonly<Record<SideName, object>>;
  readonly sampling: Sampling;
  readonly signal: AbortSignal;
  /** Told of all that has come, at most once per frame. */
  readonly onTokens: (both: Both) => void;
}

/** @returns why each side ended, in OpenAI's words. Without a bundle both sides are one */
export async function speakByServer(
  server: Server,
  wanted: Wanted,
): Promise<Readonly<Record<SideName, string | null>>> {
  const { path, input, sampling, signal, onTokens } = wanted;
  const isPair = hasStages.value;
  const buffer = new PairBuffer<Told>((plain, edited) => onTokens({ plain, edited: isPair ? edited : plain }));
  // If one fails, the other ends too.
  const failed = new AbortController();
  const { temperature, seed, maxNewTokens } = sampling;
  const common = {
    ...{ temperature, seed, max_tokens: maxNewTokens },
    ...(path === "/v1/completions" ? { logprobs: TOP } : { logprobs: true, top_logprobs: TOP }),
  };
  const run = async (side: SideName): Promise<string | null> => {
    const body = { ...common, ...input[side], ...(side === "edited" && { interventions: interventionsNow() }) };
    try {
      const stream = streamAnswer(server, path, body, AbortSignal.any([signal, failed.signal]));
      for (let next = await stream.next(); ; next = await stream.next()) {
        if (next.done) return next.value;
        take(buffer, side, next.value);
      }
    } catch (error) {
      failed.abort();
      throw error;
    }
  };
  try {
    const ends = await Promise.allSettled(isPair ? [run("plain"), run("edited")] : [run("plain")]);
    const fault = ends.find((end) => end.status === "rejected" && !isStop(end.reason)) ?? ends.find(isRejected);
    if (fault?.status === "rejected") throw fault.reason;
    const [plain, edited = plain] = ends.map((end) => (end.status === "fulfilled" ? end.value : null));
    return { plain: plain ?? null, edited: edited ?? null };
  } finally {
    buffer.flush();
  }
}

function isRejected(end: PromiseSettledResult<unknown>): boolean {
  return end.status === "rejected";
}

function isStop(error: unknown): boolean {
  return (error as { readonly code?: unknown }).code === "aborted";
}

function take(buffer: PairBuffer<Told>, side: SideName, { text, odds }: Piece): void {
  const [first] = odds;
  if (odds.length > 1) for (const each of odds) buffer.push(side, { token: { id: null, text: each.text }, odds: each });
  else if (first) buffer.push(side, { token: { id: null, text }, odds: first });
  // Text that waited for the end belongs to the last token.
  else if (buffer[side].length === 0 || !buffer[side].at(-1)?.odds) {
    buffer.push(side, { token: { id: null, text }, odds: null });
  } else buffer.amend(side, (last) => ({ ...last, token: { ...last.token, text: last.token.text + text } }));
}

/** What the sliders say, as a request names it. */
export function interventionsNow(): readonly object[] {
  return bundles.value.flatMap((open) => {
    if (open.origin.kind !== "server") return [];
    const own = settingsOf(open).map((stage) => ({ stage, change: changeOf(stage) }));
    const stages = own.map(({ stage, change: { edges: _, ...values } }) => [stage.manifest.id, values]);
    const edges = own.flatMap(({ stage: { manifest, edges: now } }) => {
      const made = manifest.kind === "edge_mask" ? (manifest.edges ?? []) : [];
      return now.flatMap(({ source, destination, value }, i) =>
        value === made[i]?.[2] ? [] : [[source, destination, value]],
      );
    });
    return [{ bundle: open.origin.name, stages: Object.fromEntries(stages), ...(edges.length > 0 && { edges }) }];
  });
}
