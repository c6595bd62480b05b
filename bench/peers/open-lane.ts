/** Opens lanes in processes and pages, each behind the same interface. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright-core";
import { bundleForPage } from "../../test/page/bundle.ts";
import { serve } from "../../test/page/server.ts";
import type { Lane, ModelFiles, Run } from "./lane.ts";
import type { Reply, Request } from "./node-host.ts";
import { type LaneSpec, packages } from "./peers.ts";

const here = dirname(fileURLToPath(import.meta.url));

/** A lane that must be closed. */
export interface OpenLane extends Lane {
  close(): Promise<void>;
}

/** The installed version of a lane's engine; null if it is not installed. */
export function installedVersion({ engine }: LaneSpec): string | null {
  const name = packages[engine];
  const path = name === null ? join(here, "../../package.json") : join(here, "node_modules", name, "package.json");
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version : null;
}

/** Opens a lane in its own process. @param libraries a folder with a Vulkan loader, for peers that bring none */
export async function openInNode(spec: LaneSpec, model: ModelFiles, libraries: string): Promise<OpenLane> {
  const child = fork(join(here, "node-host.ts"), {
    execArgv: ["--import", "tsx"],
    serialization: "advanced",
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    env: {
      ...process.env,
      LD_LIBRARY_PATH: [libraries, process.env.LD_LIBRARY_PATH ?? ""].filter((path) => path !== "").join(":"),
      ...(spec.driver !== undefined && { VK_DRIVER_FILES: spec.driver, VK_ICD_FILENAMES: spec.driver }),
      // llama.cpp passes software devices by unless they are named.
      GGML_VK_VISIBLE_DEVICES: "0",
    },
  });
  let complaints = "";
  child.stderr?.on("data", (chunk) => {
    complaints = `${complaints}${chunk}`.slice(-2000);
  });
  const ask = async (request: Request): Promise<unknown> => {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error("its process has ended");
    const ended = new AbortController();
    const exit = once(child, "exit", { signal: ended.signal }).then(([code, signal]): Reply => {
      return { error: `its process ended with ${code ?? signal}: ${complaints.trim().split("\n").at(-1) ?? ""}` };
    });
    exit.catch(() => undefined);
    child.send(request);
    const reply = await Promise.race([once(child, "message").then(([message]) => message as Reply), exit]);
    ended.abort();
    if ("error" in reply) throw new Error(reply.error);
    return reply.value;
  };
  const close = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  };
  try {
    const device = await ask({ open: { engine: spec.engine, model, options: spec.options } });
    return {
      device: device as string | null,
      generate: async (prompt, newTokens) => (await ask({ generate: { prompt, newTokens } })) as Run,
      logProbabilities: async (tokens) => (await ask({ logProbabilities: { tokens } })) as Float32Array | null,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What the page of an engine imports, and how it makes its lane from `model` and `options`. */
const pageScripts: Readonly<Partial<Record<LaneSpec["engine"], string>>> = {
  sluice: `import { openLane } from "./bench/peers/lanes/sluice.ts";
    globalThis.openLane = openLane;`,
  "onnxruntime-web": `import * as ort from "./bench/peers/node_modules/onnxruntime-web/dist/ort.webgpu.min.mjs";
    import { openOnnxLane } from "./bench/peers/lanes/onnx.ts";
    ort.env.wasm.wasmPaths = "/runtime/";
    ort.env.wasm.numThreads = 1;
    globalThis.openLane = (model, options) => openOnnxLane(ort, model, options, true);`,
  transformers: `import * as transformers from "./bench/peers/node_modules/@huggingface/transformers/dist/transformers.web.js";
    import { openTransformersLane } from "./bench/peers/lanes/transformers.ts";
    globalThis.openLane = (model, options) => openTransformersLane(transformers, model, options, "/runtime/");`,
  wllama: `import * as wllama from "./bench/peers/node_modules/@wllama/wllama/esm/index.js";
    import { openWllamaLane } from "./bench/peers/lanes/wllama.ts";
    globalThis.openLane = (model, options) => openWllamaLane(wllama, model, options, location.origin + "/runtime/wllama.wasm");`,
};

const runtimeFolders: Readonly<Partial<Record<LaneSpec["engine"], readonly string[]>>> = {
  "onnxruntime-web": ["node_modules/onnxruntime-web/dist"],
  transformers: [
    "node_modules/@huggingface/transformers/node_modules/onnxruntime-web/dist",
    "node_modules/onnxruntime-web/dist",
  ],
  wllama: ["node_modules/@wllama/wllama/esm/wasm"],
};

/** The page's side of a lane, under its own names. */
interface LanePage {
  openLane(model: ModelFiles, options: LaneSpec["options"]): Promise<Lane>;
  lane: Lane;
}

/** Opens a lane in its own page. @param model with paths on this machine, which the page gets as addresses */
export async function openInPage(spec: LaneSpec, model: ModelFiles, browser: Browser): Promise<OpenLane> {
  const script = pageScripts[spec.engine];
  if (script === undefined) throw new Error(`${spec.engine} runs in Node`);
  const bundle = await bundleForPage(script);
  const runtime = runtimeFolders[spec.engine]?.map((folder) => join(here, folder)).find((folder) => existsSync(folder));
  const html = `<!doctype html><title>${spec.engine}</title><script type="module" src="${bundle.entry}"></script>`;
  const server = await serve({
    files: new Map<string, string | Uint8Array>([...bundle.files, ["/index.html", html]]),
    folders: { "/models/": dirname(model.folder), ...(runtime !== undefined && { "/runtime/": runtime }) },
  });
  const page = await browser.newPage();
  page.setDefaultTimeout(0);
  const close = async () => {
    await page.close();
    await server.close();
  };
  try {
    const failures: string[] = [];
    page.on("pageerror", (error) => failures.push(error.message));
    await page.goto(`${server.origin}/index.html`, { waitUntil: "load" });
    if (failures.length > 0) throw new Error(failures.join("; "));
    const address = (path: string) => path.replace(dirname(model.folder), `${server.origin}/models`);
    const files: ModelFiles = {
      ...model,
      folder: address(model.folder),
      gguf: address(model.gguf),
      onnx: address(model.onnx),
      onnxFused: address(model.onnxFused),
    };
    const device = await page.evaluate(
      async ([model, options]) => {
        const window = globalThis as unknown as LanePage;
        window.lane = await window.openLane(model, options);
        return window.lane.device;
      },
      [files, spec.options] as const,
    );
    return {
      device,
      generate: (prompt, newTokens) =>
        page.evaluate(([prompt, newTokens]) => (globalThis as unknown as LanePage).lane.generate(prompt, newTokens), [
          prompt,
          newTokens,
        ] as const),
      async logProbabilities(tokens) {
        const list = await page.evaluate(async (tokens) => {
          const got = await (globalThis as unknown as LanePage).lane.logProbabilities(tokens);
          return got && Array.from(got);
        }, tokens);
        return list && Float32Array.from(list);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
