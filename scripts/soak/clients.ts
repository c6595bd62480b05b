/** Clients of a soak: those that behave, those that leave, those that do not read, and those that send rubbish. */
import { connect, type Socket } from "node:net";
import type OpenAI from "openai";
import { Answer, type Asked, type Choice, isBeginning, isSame } from "./requests.ts";

/** A request and its answer alone. */
export interface Known extends Asked {
  readonly alone: readonly Choice[];
}

export interface World {
  readonly address: string;
  readonly key: string;
  readonly client: OpenAI;
  readonly known: readonly Known[];
  /** Of a fixed seed: 0 ≤ x < 1. */
  readonly random: () => number;
  /** Milliseconds for which a client that stalls takes nothing, at most. */
  readonly stallMs: number;
}

/** What happened, and what is wrong with it; null if nothing is. */
export interface Outcome {
  readonly kind: "whole" | "left" | "stalled" | "rubbish";
  readonly tokens: number;
  readonly fault: string | null;
}

/** Does one thing. */
export async function act(world: World): Promise<Outcome> {
  const { random } = world;
  const known = pick(world.known, random);
  const chance = random();
  if (chance < 0.5) return whole(world, known, chance < 0.38);
  if (chance < 0.65) return leave(world, known);
  if (chance < 0.78) return stall(world, known);
  return rubbish(world);
}

/** A request that is answered to its end, by the official client: the same as alone. */
async function whole({ client }: World, known: Known, isStreamed: boolean): Promise<Outcome> {
  const answer = new Answer();
  if (isStreamed) for await (const part of await streamOf(client, known)) answer.add(part);
  else answer.add(await client.post(known.path.slice(3), { body: known.body }));
  const fault = isSame(answer.choices, known.alone) ? null : different("an answer", known, answer);
  return { kind: "whole", tokens: count(answer), fault };
}

/** A stream that is left in the middle: what came is the beginning of the whole. */
async function leave({ client, random }: World, known: Known): Promise<Outcome> {
  const answer = new Answer();
  const patience = Math.floor(random() * 12);
  const stream = await streamOf(client, known);
  let parts = 0;
  for await (const part of stream) {
    answer.add(part);
    if (++parts > patience) break;
  }
  const fault = isBeginning(answer.choices, known.alone) ? null : different("a stream that was left", known, answer);
  return { kind: "left", tokens: count(answer), fault };
}

async function streamOf(client: OpenAI, { path, body }: Asked): Promise<AsyncIterable<unknown>> {
  return client.post(path.slice(3), { body: { ...body, stream: true }, stream: true }) as Promise<
    AsyncIterable<unknown>
  >;
}

/** A stream over a bare socket whose reader takes nothing for a while: the whole, or its beginning if it was dropped. */
async function stall(world: World, known: Known): Promise<Outcome> {
  const socket = open(world);
  socket.pause();
  socket.write(request(world, known.path, JSON.stringify({ ...known.body, stream: true })));
  await sleep(world.random() * world.stallMs);
  let text = "";
  try {
    for await (const chunk of socket) {
      text += String(chunk);
      if (text.includes("data: [DONE]")) break;
    }
  } catch {
    // A reset is how a server drops a reader.
  }
  socket.destroy();
  const answer = new Answer();
  for (const [, event = ""] of text.matchAll(/^data: (\{.*\})\r?\n/gm)) answer.add(JSON.parse(event));
  const isDone = text.includes("data: [DONE]");
  const isRight = isDone ? isSame(answer.choices, known.alone) : isBeginning(answer.choices, known.alone);
  return { kind: "stalled", tokens: count(answer), fault: isRight ? null : different("a slow stream", known, answer) };
}

/** Each with the status that it must be answered with. */
const bodies: readonly (readonly [body: string, status: number])[] = [
  ['{"prompt": "Once', 400],
  ["[]", 400],
  ['{"prompt": 7}', 400],
  ['{"prompt": "x", "max_tokens": -1}', 400],
  ['{"prompt": "x", "temprature": 1}', 400],
  ['{"prompt": [99999999]}', 400],
  ['{"prompt": "x", "interventions": [{"bundle": "nobody"}]}', 400],
  ['{"prompt": "x", "model": "another"}', 404],
  [`{"prompt": ${"[".repeat(50_000)}${"]".repeat(50_000)}}`, 400],
  [
    `{"prompt": "x", "response_format": {"type": "json_schema", "json_schema": ${'{"a":'.repeat(3000)}1${"}".repeat(3000)}}}`,
    400,
  ],
  [JSON.stringify({ prompt: "word ".repeat(20_000) }), 400],
  [JSON.stringify({ prompt: "x".repeat(5 << 20) }), 413],
];

/** Something that no server should have to read. */
async function rubbish(world: World): Promise<Outcome> {
  const { random, address, key } = world;
  const chance = random();
  if (chance < 0.5) {
    const [body, status] = pick(bodies, random);
    return { kind: "rubbish", tokens: 0, fault: await posted(address, key, body, status) };
  }
  if (chance < 0.65) return { kind: "rubbish", tokens: 0, fault: await posted(address, `${key}x`, "{}", 401) };
  const socket = open(world);
  const asked = request(world, "/v1/completions", JSON.stringify({ prompt: "Once", max_tokens: 50 }));
  // Half a request, a request whose sender is gone at once, or no request at all.
  if (chance < 0.8) socket.write(asked.slice(0, Math.floor(random() * asked.length)));
  else if (chance < 0.9) socket.write(asked);
  else socket.write(Buffer.from(Array.from({ length: 300 }, () => Math.floor(random() * 256))));
  await sleep(random() * 100);
  socket.destroy();
  return { kind: "rubbish", tokens: 0, fault: null };
}

async function posted(address: string, key: string, body: string, status: number): Promise<string | null> {
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${key}` };
  try {
    const answer = await fetch(`${address}/v1/completions`, { method: "POST", headers, body });
    const told = (await answer.json()) as { readonly error?: { readonly message?: unknown } };
    if (answer.status === status && typeof told.error?.message === "string") return null;
    return `${body.slice(0, 80)} was answered with ${answer.status}, not ${status}`;
  } catch (error) {
    // A body that is refused before it was sent may find its connection closed.
    return status === 413 ? null : `${body.slice(0, 80)} was not answered: ${String(error)}`;
  }
}

function open({ address }: World): Socket {
  const { hostname, port } = new URL(address);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => undefined);
  return socket;
}

function request({ key }: World, path: string, body: string): string {
  const head = [
    `POST ${path} HTTP/1.1`,
    "Host: soak",
    "Content-Type: application/json",
    `Authorization: Bearer ${key}`,
  ];
  return [...head, "Connection: close", `Content-Length: ${Buffer.byteLength(body)}`, "", body].join("\r\n");
}

function different(what: string, { body, alone }: Known, { choices }: Answer): string {
  const shown = (value: unknown): string => JSON.stringify(value).slice(0, 600);
  return `${what} to ${shown(body)}\n  is      ${shown(choices)}\n  and not ${shown(alone)}`;
}

function count({ choices }: Answer): number {
  return choices.reduce((sum, { ids }) => sum + ids.length, 0);
}

function pick<Item>(items: readonly Item[], random: () => number): Item {
  return items[Math.floor(random() * items.length)] as Item;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
