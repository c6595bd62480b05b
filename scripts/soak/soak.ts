/** Many clients at one server for a time: whether every answer is the one it is alone, and whether the server grows. */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import OpenAI from "openai";
import { act, type Known, type Outcome, type World } from "./clients.ts";
import { Answer, type Asked, isSame, requests } from "./requests.ts";
import type { FromServer, ToServer } from "./server.ts";
import type { Holdings, SoakedOptions, SoakedServer } from "./soaked.ts";

export interface SoakOptions {
  /** A folder with a model. */
  readonly model: string;
  readonly seconds: number;
  readonly clients: number;
  readonly seed?: number;
  /** What starts the server; default: {@link startProcess}. */
  readonly start?: (options: SoakedOptions) => Promise<SoakedServer>;
}

/** What the server held at a time after the beginning of the soak. */
export interface Sample extends Holdings {
  readonly seconds: number;
}

export interface SoakReport {
  readonly counts: Readonly<Record<Outcome["kind"], number>>;
  readonly tokens: number;
  /** What was not as it must be. */
  readonly faults: readonly string[];
  readonly samples: readonly Sample[];
}

/** Samples of memory in a soak, unless it is short. */
const SAMPLES = 30;
/** Milliseconds between two samples, at least: each collects the server's garbage. */
const LEAST_PAUSE = 1000;

export async function soak({
  model,
  seconds,
  clients,
  seed = 1,
  start = startProcess,
}: SoakOptions): Promise<SoakReport> {
  const key = "soak-key";
  // Short, so that some readers that stall are dropped.
  const stallMs = Math.min(2000, seconds * 100);
  const server = await start({ model, key, sequences: 16, context: 256, stallMs });
  const { address } = server;
  const client = new OpenAI({ baseURL: `${address}/v1`, apiKey: key, maxRetries: 0 });
  const known: Known[] = [];
  for (const asked of requests) known.push({ ...asked, alone: await alone(client, asked) });
  const counts = { whole: 0, left: 0, stalled: 0, rubbish: 0 };
  const faults: string[] = [];
  let tokens = 0;
  const began = performance.now();
  const past = (): number => (performance.now() - began) / 1000;
  const world: World = { address, key, client, known, random: randomOf(seed), stallMs: stallMs * 1.5 };
  const live = async (): Promise<void> => {
    while (past() < seconds) {
      try {
        const { kind, tokens: more, fault } = await act(world);
        counts[kind]++;
        tokens += more;
        if (fault) faults.push(fault);
      } catch (error) {
        faults.push(`a request failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      }
    }
  };
  const samples: Sample[] = [];
  const watch = async (): Promise<void> => {
    while (past() < seconds) {
      await new Promise((resolve) => setTimeout(resolve, Math.max(LEAST_PAUSE, (seconds * 1000) / SAMPLES)));
      samples.push({ seconds: past(), ...(await server.measure()) });
    }
  };
  await Promise.all([...Array.from({ length: clients }, live), watch()]);
  // Nothing of it may have stayed: the same requests alone again.
  for (const { alone: before, ...asked } of known) {
    if (!isSame(await alone(client, asked), before)) faults.push(`alone, after it: ${JSON.stringify(asked.body)}`);
  }
  samples.push({ seconds: past(), ...(await server.measure()) });
  faults.push(...(samples.at(-1)?.faults.map((text) => `the server: ${text}`) ?? []));
  await server.stop();
  return { counts, tokens, faults, samples };
}

async function alone(client: OpenAI, { path, body }: Asked) {
  const answer = new Answer();
  answer.add(await client.post(path.slice(3), { body }));
  return answer.choices;
}

/** Starts the server in a process of its own. */
async function startProcess(options: SoakedOptions): Promise<SoakedServer> {
  const script = fileURLToPath(new URL("server.ts", import.meta.url));
  const tsx = import.meta.resolve("tsx");
  const child = fork(script, [JSON.stringify(options)], { execArgv: ["--expose-gc", "--import", tsx] });
  const ended = new Promise<never>((_, reject) => {
    child.once("exit", (code) => reject(new Error(`The server of the soak ended with ${code}`)));
  });
  const exit = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  ended.catch(() => undefined);
  const next = (): Promise<FromServer> =>
    Promise.race([new Promise<FromServer>((resolve) => child.once("message", resolve as never)), ended]);
  const send = (message: ToServer) => child.send(message);
  const first = await next();
  return {
    address: "address" in first ? first.address : "",
    async measure() {
      send("measure");
      const answer = await next();
      if (!("holdings" in answer)) throw new Error("The server of the soak did not say what it holds");
      return answer.holdings;
    },
    async stop() {
      send("stop");
      await exit;
    },
  };
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}
