/** Which adapter a process gets, from what its environment offers. Each case is a separate process. */
import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { formatInfo, gatherInfo } from "../../src/gpu/node-info.ts";
import { findCarrier, unpackDriver } from "../../src/gpu/node-swiftshader.ts";
import { root } from "../run-files.ts";

const test = suite("host");
/** For what the carried driver takes part in: it is built for Linux on x64. */
const onLinux = process.platform === "linux" && process.arch === "x64" ? test : test.skip;
let scratch: string;
/** No driver but the carried one, whatever this machine has. */
let noDrivers: Record<string, string>;

test.before(async () => {
  scratch = await mkdtemp(join(tmpdir(), "sluice-test-"));
  noDrivers = { VK_DRIVER_FILES: join(scratch, "none.json") };
});

test.after(() => rm(scratch, { recursive: true }));

interface Outcome {
  /** What the script printed, as JSON. */
  readonly result: Record<string, unknown>;
  readonly stderr: string;
}

/** Runs the body of a module that calls `print(value)`, and waits until the process has ended by itself. */
function runScript(body: string, env: Record<string, string>, folder = root): Promise<Outcome> {
  const url = (path: string) => JSON.stringify(pathToFileURL(join(folder, path)).href);
  const script = `
    import { openGpu } from ${url("src/gpu/open.ts")};
    const print = (value) => process.stdout.write(JSON.stringify(value));
    const notices = [];
    const onNotice = (line) => notices.push(line);
    ${body}`;
  const tsx = import.meta.resolve("tsx");
  const flags = ["--expose-gc", "--import", tsx, "--input-type=module", "-e", script];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, flags, {
      cwd: folder,
      env: { PATH: process.env.PATH ?? "", ...env },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 60_000,
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk) => (stdout += chunk));
    child.stderr.on("data", (chunk) => (stderr += chunk));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0 && stdout !== "") resolve({ result: JSON.parse(stdout), stderr });
      else reject(new Error(`The process ended with ${signal ?? code}: ${stderr}`));
    });
  });
}

const open = `
  const gpu = await openGpu({ onNotice });
  const buffer = gpu.createBuffer("b", 64, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  await buffer.mapAsync(GPUMapMode.READ);
  print({ name: gpu.profile.name, software: gpu.profile.software, notices, icd: process.env.VK_ICD_FILENAMES ?? null });`;

onLinux("without any driver the carried one is used, with one line of notice, and the process ends", async () => {
  const { result, stderr } = await runScript(open, { ...noDrivers, HOME: "", XDG_CACHE_HOME: "", TMPDIR: scratch });
  assert.match(String(result["name"]), /SwiftShader/);
  assert.is(result["software"], true);
  const notices = result["notices"] as string[];
  assert.is(notices.length, 1);
  assert.match(notices[0] as string, /^No GPU was found: .*SwiftShader.*@sparticuz\/chromium.*sluice info/);
  assert.is(result["icd"], null, "a browser that is started later must not inherit the driver");
  assert.is(stderr, "");
});

onLinux("a Vulkan loader of the system is used if there is one", async () => {
  const carrier = await findCarrier();
  assert.ok(carrier);
  const driver = await unpackDriver(carrier as NonNullable<typeof carrier>);
  const system = join(scratch, "lib");
  await mkdir(system);
  await cp(driver.loader, join(system, "libvulkan.so.1"));
  const body = `
    const gpu = await openGpu({ adapter: "swiftshader", onNotice });
    const { readFileSync } = await import("node:fs");
    const maps = readFileSync("/proc/self/maps", "utf8");
    print({ loaders: [...new Set(maps.match(/\\S*libvulkan\\.so\\S*/g))], notices });`;
  const { result } = await runScript(body, { HOME: scratch, LD_LIBRARY_PATH: system });
  assert.equal(result, { loaders: [join(system, "libvulkan.so.1")], notices: [] });
});

onLinux("a driver can be chosen by its file, and by the environment", async () => {
  const carrier = await findCarrier();
  const { icd } = await unpackDriver(carrier as NonNullable<typeof carrier>);
  const body = (adapter: string) => `
    const gpu = await openGpu({ adapter: ${adapter}, onNotice });
    print({ name: gpu.profile.name, notices });`;
  const [byFile, byEnvironment] = await Promise.all([
    runScript(body(JSON.stringify(icd)), { ...noDrivers, HOME: scratch }),
    runScript(body(`"auto"`), { VK_DRIVER_FILES: icd, HOME: scratch }),
  ]);
  assert.match(String(byFile.result["name"]), /SwiftShader/);
  assert.equal(byFile.result["notices"], []);
  const [notice] = byEnvironment.result["notices"] as string[];
  assert.ok(notice?.includes(`VK_DRIVER_FILES=${icd}`), notice);
});

onLinux("a choice that nothing fits is refused with what there is", async () => {
  const body = `
    const errors = [];
    for (const adapter of ["voodoo 3", "./none.json"]) {
      await openGpu({ adapter }).catch(({ code, message }) => errors.push([code, message]));
    }
    print({ errors });`;
  const { result } = await runScript(body, { ...noDrivers, HOME: scratch });
  const [name, file] = result["errors"] as [string, string][];
  assert.is(name?.[0], "no_adapter");
  assert.match(name?.[1] ?? "", /"voodoo 3".*no Vulkan driver file.*there is SwiftShader.*\n.*choose another/s);
  assert.is(file?.[0], "no_adapter");
  assert.ok(file?.[1].includes(`there is no file ${join(root, "none.json")}`), file?.[1]);
});

onLinux("without the packages the error gives the one command that mends it", async () => {
  const bare = join(scratch, "bare");
  await cp(join(root, "src"), join(bare, "src"), { recursive: true });
  await writeFile(join(bare, "package.json"), `{"type": "module"}`);
  const body = `print(await openGpu().catch(({ code, message }) => ({ code, message })));`;
  const neither = await runScript(body, { ...noDrivers, HOME: scratch }, bare);
  assert.is(neither.result["code"], "no_adapter");
  assert.match(
    String(neither.result["message"]),
    /@sparticuz\/chromium.*not installed.*npm install webgpu @sparticuz\/chromium/s,
  );

  const packages = join(bare, "node_modules/@sparticuz");
  await mkdir(packages, { recursive: true });
  const carrier = await findCarrier();
  await symlink(dirname(dirname((carrier as NonNullable<typeof carrier>).archive)), join(packages, "chromium"));
  const { result } = await runScript(body, { ...noDrivers, HOME: scratch }, bare);
  assert.is(result["code"], "no_adapter");
  assert.match(
    String(result["message"]),
    /package webgpu is not installed\n.*npm install webgpu @sparticuz\/chromium/s,
  );
});

onLinux("opening, losing and collecting devices again and again harms nothing", async () => {
  const body = `
    const { gatherInfo } = await import(${JSON.stringify(pathToFileURL(join(root, "src/gpu/node-info.ts")).href)});
    const kept = [];
    for (let i = 0; i < 4; i++) {
      const gpu = await openGpu({ adapter: "swiftshader" });
      if (i % 2 === 0) kept.push(gpu.device);
      if (i === 1) gpu.destroy();
      if (i === 2) gpu.device.destroy();
      await gatherInfo({ adapter: "swiftshader" });
      for (let j = 0; j < 3; j++) {
        gc();
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
    await kept[0].queue.onSubmittedWorkDone();
    print({ kept: kept.length });`;
  const { result } = await runScript(body, { ...noDrivers, HOME: scratch });
  assert.equal(result, { kept: 2 });
});

onLinux("info lists every source and explains which adapter is used", async () => {
  const info = await gatherInfo({ adapter: "swiftshader" });
  assert.is(info.problem, null);
  assert.is(info.family, "register");
  const used = info.adapters.filter((adapter) => adapter.used);
  assert.is(used.length, 1);
  assert.is(used[0]?.kind, "software");
  assert.is(used[0]?.choice, "swiftshader");
  for (const { name, reason } of info.adapters) if (name === null) assert.ok(reason, "an absence has its reason");
  const text = formatInfo(info);
  for (const part of ["* SwiftShader", "used: ", "maxStorageBufferBindingSize", "webgpu 0.", info.cache_folder]) {
    assert.ok(text.includes(part), `${part} is not in:\n${text}`);
  }
  assert.equal(JSON.parse(JSON.stringify(info)), info);
});

onLinux("info reports a choice without a match, and still lists the adapters", async () => {
  const info = await gatherInfo({ adapter: "voodoo 3" });
  assert.is(info.device, null);
  assert.match(info.problem ?? "", /voodoo 3/);
  assert.ok(info.adapters.some(({ choice }) => choice === "swiftshader"));
  assert.ok(formatInfo(info).includes("voodoo 3"));
});

test.run();
