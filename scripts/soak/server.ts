/**
 * The server of a soak, in a process of its own, so that its memory is no client's. It tells its parent where it listens,
 * and what it holds when asked. Run with --expose-gc.
 */
import { load } from "../../src/index.ts";
import { type Holdings, type SoakedOptions, startHere } from "./soaked.ts";

/** Messages to the process and from it. */
export type ToServer = "measure" | "stop";
export type FromServer = { readonly address: string } | { readonly holdings: Holdings };

const server = await startHere(JSON.parse(process.argv[2] ?? "{}") as SoakedOptions, load);
const tell = (message: FromServer) => process.send?.(message);
process.on("message", (message: ToServer) => void (message === "stop" ? stop() : measure()));
process.on("disconnect", () => process.exit(1));
tell({ address: server.address });

async function measure(): Promise<void> {
  tell({ holdings: await server.measure() });
}

async function stop(): Promise<void> {
  await server.stop();
  process.disconnect?.();
}
