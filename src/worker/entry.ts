/** The script of the engine's worker: serves the page that started it. */
import { serveEngine } from "./host.ts";
import type { Port } from "./protocol.ts";

export { serveEngine } from "./host.ts";

serveEngine(globalThis as unknown as Port);
