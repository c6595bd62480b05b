/** What a link holds, and the check of it at the door: a link comes from a stranger. */
import type { Origin, Scope } from "../state/bundles.ts";
import type { SharedStage } from "../state/shared-stages.ts";
import { unpacked } from "./packed-text.ts";
import type { Sampling } from "./pair.ts";
import type { SideName } from "./run-state.ts";

/** Bundles of at most this many bytes travel in the link. */
export const INLINE_BYTES = 32 << 10;

export interface SharedBundle {
  readonly title: string;
  readonly sha256: string;
  readonly from: Origin;
  /** Its bytes as base64, if it is small and has no address. */
  readonly bytes?: string;
}

/** Ids; texts of a server, which tells no ids. */
export type SharedTokens = Readonly<Record<SideName, readonly (number | string)[]>>;

export interface SharedTurn {
  readonly message: string;
  readonly sampling: Sampling;
  readonly stages: readonly SharedStage[];
  readonly tokens: SharedTokens;
  /** Whether the answers were stopped, or sliders moved: they are shown as the link has them. */
  readonly isGiven: boolean;
}

export interface Shared {
  readonly v: 1;
  readonly model: string;
  /** Who runs it, if this page does not. Never with its key. */
  readonly server?: string;
  readonly bundles: readonly SharedBundle[];
  readonly stages: readonly SharedStage[];
  readonly prompt: string;
  readonly chat: boolean;
  readonly sampling: Sampling;
  readonly device: string;
  /** What came out, so that whoever opens it sees whether it is the same. */
  readonly tokens?: SharedTokens;
  /** Of a chat. */
  readonly system?: string;
  readonly turns?: readonly SharedTurn[];
}

/** Reads what follows `#s=`. @throws an error with a hint for whatever this page did not write */
export async function readLink(text: string): Promise<Shared> {
  let value: unknown;
  try {
    value = JSON.parse(await unpacked(text));
  } catch {
    throw new DamagedLink("This link is damaged.");
  }
  if (isRecord(value) && value.v !== 1) {
    throw new DamagedLink("This link was made by another version of the playground.");
  }
  return sharedLink(value, "");
}

class DamagedLink extends Error {
  readonly hint = "Ask whoever sent it to copy it again.";
}

/** Returns the value with the fields that are known, or throws with the path of the first that is wrong. */
type Check<T> = (value: unknown, path: string) => T;

function wrong(path: string, wanted: string): never {
  throw new DamagedLink(`This link is damaged: ${path === "" ? "it" : path} is not ${wanted}.`);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @param most characters */
function textOf(most: number): Check<string> {
  return (value, path) => {
    if (typeof value !== "string") return wrong(path, "a text");
    return value.length <= most ? value : wrong(path, `a text of at most ${most} characters`);
  };
}

const number: Check<number> = (value, path) => {
  return typeof value === "number" && Number.isFinite(value) ? value : wrong(path, "a finite number");
};

function between(least: number, most: number): Check<number> {
  return (value, path) => {
    const given = number(value, path);
    return given >= least && given <= most ? given : wrong(path, `a number from ${least} to ${most}`);
  };
}

function whole(least: number, most: number): Check<number> {
  const inside = between(least, most);
  return (value, path) => {
    const given = inside(value, path);
    return Number.isInteger(given) ? given : wrong(path, "a whole number");
  };
}

const flag: Check<boolean> = (value, path) => {
  return typeof value === "boolean" ? value : wrong(path, "true or false");
};

function listOf<T>(each: Check<T>, most: number): Check<readonly T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) return wrong(path, "a list");
    if (value.length > most) return wrong(path, `a list of at most ${most}`);
    return value.map((item, i) => each(item, `${path}[${i}]`));
  };
}

type Checks<T> = { readonly [Name in keyof T]-?: Check<Exclude<T[Name], undefined>> };

/** @param optional fields that may be absent */
function record<Needed extends object, Optional extends object>(
  needed: Checks<Needed>,
  optional: Checks<Optional> = {} as Checks<Optional>,
): Check<Needed & Partial<Optional>> {
  return (value, path) => {
    if (!isRecord(value)) return wrong(path, "a record");
    const field = (name: string) => (path === "" ? name : `${path}.${name}`);
    const known: Record<string, unknown> = {};
    for (const [name, check] of Object.entries<Check<unknown>>(needed)) known[name] = check(value[name], field(name));
    for (const [name, check] of Object.entries<Check<unknown>>(optional)) {
      if (value[name] !== undefined) known[name] = check(value[name], field(name));
    }
    return known as Needed & Partial<Optional>;
  };
}

const name = textOf(4096);
const long = textOf(1 << 20);

const scopes: readonly Scope[] = ["made", "all", "prompt", "generated", "last_prompt_onward"];
const scope: Check<Scope> = (value, path) => {
  return scopes.find((each) => each === value) ?? wrong(path, `one of ${scopes.join(", ")}`);
};

const edge: Check<readonly [number, number]> = (value, path) => {
  if (!Array.isArray(value) || value.length !== 2) return wrong(path, "a pair of an index and a value");
  return [whole(0, 1 << 24)(value[0], `${path}[0]`), between(0, 1)(value[1], `${path}[1]`)];
};

const stage = record<SharedStage, object>({
  id: name,
  on: flag,
  strength: number,
  alpha: (value, path) => (value === null ? null : number(value, path)),
  scope,
  edges: listOf(edge, 1 << 18),
});
const stages = listOf(stage, 1024);

const origins: { readonly [Kind in Origin["kind"]]: Check<Origin> } = {
  shelf: record<Extract<Origin, { kind: "shelf" }>, object>({ kind: () => "shelf", id: name }),
  link: record<Extract<Origin, { kind: "link" }>, object>({ kind: () => "link", address: name }),
  server: record<Extract<Origin, { kind: "server" }>, object>({ kind: () => "server", name }),
  file: () => ({ kind: "file" }),
};
const origin: Check<Origin> = (value, path) => {
  const kind = isRecord(value) && typeof value.kind === "string" ? value.kind : "";
  if (!Object.hasOwn(origins, kind)) return wrong(`${path}.kind`, `one of ${Object.keys(origins).join(", ")}`);
  return origins[kind as Origin["kind"]](value, path);
};

const base64: Check<string> = (value, path) => {
  const text = textOf(4 * Math.ceil(INLINE_BYTES / 3))(value, path);
  return /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0 ? text : wrong(path, "base64");
};

const sampling = record<Sampling, object>({
  temperature: between(0, 5),
  seed: whole(0, Number.MAX_SAFE_INTEGER),
  maxNewTokens: whole(1, 1 << 24),
});

const token: Check<number | string> = (value, path) => {
  return typeof value === "string" ? name(value, path) : whole(0, 2 ** 32)(value, path);
};
const said = listOf(token, 1 << 20);
const tokens = record<SharedTokens, object>({ plain: said, edited: said });

const sharedLink = record<
  Omit<Shared, "server" | "tokens" | "system" | "turns">,
  Required<Pick<Shared, "server" | "tokens" | "system" | "turns">>
>(
  {
    v: () => 1,
    model: name,
    bundles: listOf(
      record<Omit<SharedBundle, "bytes">, { readonly bytes: string }>(
        { title: name, sha256: name, from: origin },
        { bytes: base64 },
      ),
      256,
    ),
    stages,
    prompt: long,
    chat: flag,
    sampling,
    device: name,
  },
  {
    server: name,
    tokens,
    system: long,
    turns: listOf(record<SharedTurn, object>({ message: long, sampling, stages, tokens, isGiven: flag }), 4096),
  },
);
