/** The documented nginx (docs/nginx.conf) in front of servers of a test, if nginx is installed. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { location } from "../support/files.ts";

/** Its path; Debian keeps it where users' PATH does not look. */
export const nginx: string | undefined = ["nginx", "/usr/sbin/nginx"].find((path) => {
  try {
    execFileSync(path, ["-v"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
});

export interface Balancer {
  readonly address: string;
  /** What nginx complained of. */
  log(): Promise<string>;
  close(): Promise<void>;
}

/** @param ports of the two servers behind it */
export async function openBalancer(ports: readonly [number, number]): Promise<Balancer> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-nginx-"));
  const port = await freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${join(folder, name)};`,
  );
  const replaced: readonly (readonly [string, string])[] = [
    ["pid /run/nginx-sluice.pid;", `pid ${join(folder, "pid")};`],
    ["access_log off;", `access_log off; ${temporary.join(" ")}`],
    ["server 127.0.0.1:8001 ", `server 127.0.0.1:${ports[0]} `],
    ["server 127.0.0.1:8002 ", `server 127.0.0.1:${ports[1]} `],
    ["listen 127.0.0.1:8000;", `listen 127.0.0.1:${port};`],
  ];
  let text = await readFile(location("docs/nginx.conf"), "utf8");
  for (const [from, to] of replaced) {
    if (!text.includes(from)) throw new Error(`docs/nginx.conf has no ${from}`);
    text = text.replace(from, to);
  }
  const file = join(folder, "nginx.conf");
  await writeFile(file, text);
  const log = join(folder, "error.log");
  const child = spawn(nginx as string, ["-p", folder, "-e", log, "-c", file, "-g", "daemon off;"], { stdio: "ignore" });
  const address = `http://127.0.0.1:${port}`;
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const readLog = () => readFile(log, "utf8");
  await answering(address, child, readLog);
  return {
    address,
    log: readLog,
    async close() {
      child.kill("SIGTERM");
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}

async function answering(address: string, child: ChildProcess, log: () => Promise<string>): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`nginx does not start: ${await log()}`);
    try {
      await fetch(`${address}/health`);
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
