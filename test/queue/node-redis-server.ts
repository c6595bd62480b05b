/** Redis servers and workers of tests, each in a process of its own. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
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
  return { address: `unix:${socket}`, stop: await running(folder, ["--port", "0", "--unixsocket", socket]) };
}

/** A server that wants a password, at two ports of this machine. */
export interface LockedServer {
  readonly plainPort: number;
  readonly tlsPort: number;
  /** The certificate of its TLS, signed by itself. */
  readonly certificate: string;
  stop(): Promise<void>;
}

export async function startLockedRedis(folder: string, password: string): Promise<LockedServer> {
  const [plainPort, tlsPort] = [await freePort(), await freePort()];
  const [key, certificate] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-x509", "-days", "1"];
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  const made = spawnSync("openssl", ["req", ...curve, ...names, "-keyout", key, "-out", certificate]);
  if (made.status !== 0) throw new Error(`openssl made no certificate: ${made.error ?? made.stderr}`);
  const tls = ["--tls-port", `${tlsPort}`, "--tls-key-file", key, "--tls-cert-file", certificate];
  tls.push("--tls-ca-cert-file", certificate, "--tls-auth-clients", "no");
  const stop = await running(folder, ["--port", `${plainPort}`, "--requirepass", password, ...tls]);
  return { plainPort, tlsPort, certificate, stop };
}

/** @returns what stops it */
async function running(folder: string, args: readonly string[]): Promise<() => Promise<void>> {
  const all = [...args, "--save", "", "--appendonly", "no", "--dir", folder];
  const server = spawn("redis-server", all, { stdio: ["ignore", "pipe", "ignore"] });
  await said(server, /ready to accept connections/i);
  return () => ended(server, "SIGTERM");
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("There is no port");
  return address.port;
}

export interface TestWorker {
  readonly name: string;
  /** What it has said so far. */
  said(): string;
  /** Resolves once it has said it. */
  until(pattern: RegExp): Promise<void>;
  /** Ends it. */
  kill(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
  /** Stops it, and lets it go on, without its notice. */
  pause(): void;
  resume(): void;
}

/** How long a worker may take to say something: long, on a machine that is busy. */
const PATIENCE_MS = 120_000;

/** A worker by the built command line. */
export function startWorker(
  address: string,
  name: string,
  { more = [], env = {} }: { readonly more?: readonly string[]; readonly env?: Readonly<Record<string, string>> } = {},
): TestWorker {
  const args = [location("bin/sluice.js"), "worker", "--queue", address, "--name", name, "--lease", "5", ...more];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  let text = "";
  const watchers = new Set<() => void>();
  const look = (): void => {
    for (const watcher of watchers) watcher();
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (part: string) => {
      text += part;
      look();
    });
  }
  child.on("exit", look);
  return {
    name,
    said: () => text,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        let isLate = false;
        const watcher = (): void => {
          const isSaid = pattern.test(text);
          const isOver = isLate || child.exitCode !== null || child.signalCode !== null;
          if (!isSaid && !isOver) return;
          watchers.delete(watcher);
          clearTimeout(timer);
          if (isSaid) resolve();
          else reject(new Error(`The worker ${name} has not said ${pattern}: ${text}`));
        };
        const timer = setTimeout(() => {
          isLate = true;
          watcher();
        }, PATIENCE_MS);
        watchers.add(watcher);
        watcher();
      }),
    kill: (signal) => ended(child, signal),
    pause: () => child.kill("SIGSTOP"),
    resume: () => child.kill("SIGCONT"),
  };
}

async function said(child: ChildProcess, pattern: RegExp): Promise<void> {
  let text = "";
  for await (const part of child.stdout ?? []) {
    text += String(part);
    if (pattern.test(text)) break;
  }
  if (!pattern.test(text)) throw new Error(`The server ended without having said ${pattern}: ${text}`);
  child.stdout?.resume();
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, "exit");
}
