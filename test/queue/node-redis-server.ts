/** Redis servers and workers of tests, each in a process of its own. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { location } from "../support/files.ts";

/** Whether Debian's redis-server, or another, is installed. */
export const hasRedis = spawnSync("redis-server", ["--version"]).status === 0;

export interface TestServer {
  readonly address: string;
  stop(): Promise<void>;
}

/** A server without persistence, at a socket in a folder. */
export async function startRedis(folder: string): Promise<TestServer> {
  const socket = join(folder, "redis.sock");
  const args = ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", folder];
  const server = spawn("redis-server", args, { stdio: ["ignore", "pipe", "ignore"] });
  await said(server, /ready to accept connections/i);
  return { address: `unix:${socket}`, stop: () => ended(server, "SIGTERM") };
}

export interface TestWorker {
  readonly name: string;
  /** What it has said so far. */
  said(): string;
  /** Resolves once it has said it. */
  until(pattern: RegExp): Promise<void>;
  kill(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
}

/** A worker by the built command line. */
export function startWorker(address: string, name: string, ...more: readonly string[]): TestWorker {
  const args = [location("bin/sluice.js"), "worker", "--queue", address, "--name", name, "--lease", "5", ...more];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  const watchers = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (part: string) => {
      text += part;
      for (const look of watchers) look();
    });
  }
  return {
    name,
    said: () => text,
    until: (pattern) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!pattern.test(text)) return;
          watchers.delete(look);
          resolve();
        };
        watchers.add(look);
        look();
      }),
    kill: (signal) => ended(child, signal),
  };
}

async function said(child: ChildProcess, pattern: RegExp): Promise<void> {
  let text = "";
  for await (const part of child.stdout ?? []) {
    text += String(part);
    if (pattern.test(text)) break;
  }
  child.stdout?.resume();
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, "exit");
}
