/** Where Hugging Face's tools keep and find things, by the environment variables that they read. */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { HubAccess } from "./request.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface HubSettings {
  readonly access: HubAccess;
  /** The folder of the cache. */
  readonly cache: string;
  readonly isOffline: boolean;
  /** Whether files of a commit are links to their contents. */
  readonly wantsLinks: boolean;
}

const DEFAULT_ENDPOINT = "https://huggingface.co";

/** Seconds, as in huggingface_hub. */
const DEFAULT_TIMEOUT = 10;

/** Pauses after failures without any progress; an attempt that brought something starts them anew. */
const RETRY_DELAYS_MS: readonly number[] = [500, 1000, 2000, 4000, 8000];

/** @throws SluiceError what reading the token's file throws, except that there is none */
export async function hubSettings(env: Environment = process.env): Promise<HubSettings> {
  const home = env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface");
  const endpoint = (env.HF_ENDPOINT || DEFAULT_ENDPOINT).replace(/\/+$/, "");
  return {
    access: {
      endpoint,
      token: await tokenOf(env, expand(home, env)),
      redirects: "seen",
      firstByteMs: 1000 * secondsOf(env.HF_HUB_ETAG_TIMEOUT),
      stallMs: 1000 * secondsOf(env.HF_HUB_DOWNLOAD_TIMEOUT),
      retryDelaysMs: RETRY_DELAYS_MS,
    },
    cache: expand(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, "hub"), env),
    isOffline: isTrue(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE),
    wantsLinks: !isTrue(env.HF_HUB_DISABLE_SYMLINKS),
  };
}

async function tokenOf(env: Environment, home: string): Promise<string | null> {
  if (isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return null;
  const given = clean(env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN);
  if (given !== null) return given;
  const path = expand(env.HF_TOKEN_PATH || join(home, "token"), env);
  // Most have none, and one that cannot be read is as good as none: the hub says so if it needs one.
  return clean(await readFile(path, "utf8").catch(() => ""));
}

/** Tokens are pasted with line breaks around them. */
function clean(token: string | undefined): string | null {
  return token?.replace(/[\r\n]/g, "").trim() || null;
}

function isTrue(value: string | undefined): boolean {
  return ["1", "ON", "YES", "TRUE"].includes(value?.toUpperCase() ?? "");
}

function secondsOf(value: string | undefined): number {
  const seconds = Number(value);
  return Number.isFinite(seconds) && seconds > 0 ? seconds : DEFAULT_TIMEOUT;
}

/** `~` and `$NAME`, as in a shell. */
function expand(path: string, env: Environment): string {
  return path
    .replace(/^~(?=$|[/\\])/, homedir())
    .replace(/\$(?:\{(\w+)\}|(\w+))/g, (text, braced, plain) => env[braced ?? plain] ?? text);
}
