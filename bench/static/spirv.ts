/** WGSL through Dawn to the SPIR-V that a Vulkan driver would get. */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const self = fileURLToPath(import.meta.url);
/** Shaders of a whole engine, disassembled. */
const MOST_OUTPUT = 1 << 30;

/**
 * Writes a `.spv` next to each `.wgsl`. Dawn prints what it hands to the driver, and `spirv-as` assembles it.
 * @param driver JSON file of the Vulkan driver that Dawn compiles on; lavapipe does, nothing runs
 */
export async function writeSpirv(paths: readonly string[], driver: string): Promise<void> {
  const { stdout } = await run(process.execPath, ["--import", "tsx", self, ...paths], {
    env: { ...process.env, VK_DRIVER_FILES: driver },
    maxBuffer: MOST_OUTPUT,
  });
  const modules = modulesOf(stdout);
  if (modules.length !== paths.length) throw new Error(`Dawn printed ${modules.length} of ${paths.length} shaders`);
  for (const [i, path] of paths.entries()) {
    const text = path.replace(/\.wgsl$/, ".spvasm");
    await writeFile(text, modules[i] as string);
    await run("spirv-as", ["--target-env", "spv1.4", text, "-o", text.replace(/asm$/, "")]);
  }
}

/**
 * The disassembled modules in what Dawn prints, in order. Maximal reconvergence is taken out: Debian's assembler does not
 * know it, and it concerns subgroups under divergent flow, which no kernel has.
 */
function modulesOf(output: string): readonly string[] {
  const lines = output.split("\n");
  const starts = lines.flatMap((line, i) => (line.startsWith("; SPIR-V") ? [i] : []));
  return starts.map((start) => {
    return lines
      .slice(start, endOf(lines, start))
      .filter((line) => !/maximal/i.test(line))
      .join("\n");
  });
}

/** A module ends with its last function. */
function endOf(lines: readonly string[], start: number): number {
  let end = start + 1;
  for (let i = start + 1; i < lines.length; i++) {
    const line = lines[i] as string;
    if (line.startsWith("; SPIR-V")) break;
    if (line.trim() === "OpFunctionEnd") end = i + 1;
  }
  return end;
}

/** This module run by itself: compiles the files named, one after another, so that what Dawn prints stands in order. */
async function print(paths: readonly string[]): Promise<void> {
  const { create, globals } = await import("webgpu");
  Object.assign(globalThis, globals);
  const gpu = create(["enable-dawn-features=dump_shaders,disable_symbol_renaming"]);
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error("Dawn finds no adapter to compile on");
  const requiredFeatures = (["shader-f16", "subgroups"] as const).filter((name) => adapter.features.has(name));
  const device = await adapter.requestDevice({ requiredFeatures });
  for (const path of paths) {
    const module = device.createShaderModule({ code: await readFile(path, "utf8") });
    await device.createComputePipelineAsync({ layout: "auto", compute: { module } });
  }
  // Collected earlier, it would take the process with it.
  if (gpu) process.exit(0);
}

if (process.argv[1] === self) await print(process.argv.slice(2));
