/**
 * Adapters outside of browsers: Node, Deno, Bun. Unless the caller chooses, the runtime's own `navigator.gpu` comes
 * first (Deno has one), then Dawn with a GPU or another driver of the system, and then with the SwiftShader that the
 * npm package @sparticuz/chromium carries.
 */
import { SluiceError, throwIfAborted } from "../errors.ts";
import { type AdapterRequest, type HostAdapter, isAuto } from "./host.ts";
import { INSTALL_COMMAND } from "./node-dawn.ts";
import { destroyAtExit } from "./node-exit.ts";
import {
  type Absence,
  allAdapters,
  bestAdapter,
  carriedSource,
  fileSource,
  type Source,
  systemSource,
} from "./node-sources.ts";
import { findCarrier } from "./node-swiftshader.ts";
import { displayName, isSoftware, namesOf } from "./profile.ts";

/**
 * The adapter that the caller chooses, or the best available.
 * @throws SluiceError `no_adapter` saying what was searched, what is available and what to do; `aborted`
 */
export async function openAdapter({ adapter: choice, signal, onNotice }: AdapterRequest): Promise<HostAdapter> {
  throwIfAborted(signal);
  const tried: string[] = [];
  const found = await (isAuto(choice) ? findBest(tried) : findChosen((choice ?? "").trim(), tried));
  throwIfAborted(signal);
  if (!found) {
    const what = isAuto(choice) ? "No WebGPU adapter was found" : `No adapter matches "${choice}"`;
    throw new SluiceError("no_adapter", `${what}: ${tried.join("; ")}`, {
      hint: await hintFor(choice),
      field: "adapter",
    });
  }
  if (isAuto(choice) && isSoftware(found.adapter.info)) {
    onNotice?.(
      `No GPU was found: computing on the CPU with ${found.name} (${found.origin}). \`sluice info\` reports more.`,
    );
  }
  return { ...found, onDevice: destroyAtExit };
}

/** Whether a choice names a Vulkan driver file. */
export function isDriverFile(choice: string): boolean {
  return choice.endsWith(".json") || /[/\\]/.test(choice);
}

async function findBest(tried: string[]): Promise<HostAdapter | null> {
  const own = await runtimeAdapter(tried);
  if (own) return own;
  for (const find of [systemSource, carriedSource]) {
    const source = await find();
    const found = "absent" in source ? source : await bestAdapter(source);
    if (!("absent" in found)) return found;
    tried.push(describe(found));
  }
  return null;
}

/** The adapter of a runtime with its own WebGPU; otherwise null. */
async function runtimeAdapter(tried: string[]): Promise<HostAdapter | null> {
  const { gpu } = (globalThis.navigator ?? {}) as { readonly gpu?: GPU };
  if (!gpu) return null;
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter) return { adapter, name: displayName(namesOf(adapter.info)), backend: null, origin: "navigator.gpu" };
  tried.push("this runtime's navigator.gpu offers no adapter");
  return null;
}

async function findChosen(choice: string, tried: string[]): Promise<HostAdapter | null> {
  if (isDriverFile(choice)) {
    const source = await fileSource(choice);
    const found = "absent" in source ? source : await bestAdapter(source);
    if (!("absent" in found)) return found;
    tried.push(describe(found));
    return null;
  }
  // Its name means the carried SwiftShader, even if the system has one too.
  const carriedFirst = choice.toLowerCase() === "swiftshader";
  for (const find of carriedFirst ? [carriedSource, systemSource] : [systemSource, carriedSource]) {
    const source = await find();
    if ("absent" in source) tried.push(describe(source));
    else {
      const found = await findNamed(source, choice, tried);
      if (found) return found;
    }
  }
  return null;
}

async function findNamed(source: Source, choice: string, tried: string[]): Promise<HostAdapter | null> {
  for (const found of await allAdapters(source)) {
    const names = [found.name, ...Object.values(namesOf(found.adapter.info))];
    if (names.some((name) => name.toLowerCase().includes(choice.toLowerCase()))) return found;
    tried.push(`there is ${found.name} (${found.origin})`);
  }
  return null;
}

function describe({ kind, origin, absent }: Absence): string {
  return kind === "carried" ? `${origin}: ${absent}` : absent;
}

async function hintFor(choice: string | undefined): Promise<string> {
  if (!isAuto(choice)) return "Leave the choice out, or choose another.";
  if (await findCarrier()) return "Install a Vulkan driver, or choose a driver by its file.";
  return `Run \`${INSTALL_COMMAND}\`, which installs a software GPU, or install a Vulkan driver.`;
}
