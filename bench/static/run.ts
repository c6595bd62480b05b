/**
 * What every kernel becomes on AMD GPUs, on a machine that has none: registers, spills, workgroup memory, occupancy and
 * the instructions of the hot loop.
 *
 *   npx tsx bench/static/run.ts [--only REGEXP]
 *
 * Needs Debian's mesa-vulkan-drivers (25 or later: bookworm-backports), libvulkan1, spirv-tools and python3. Dawn compiles
 * WGSL on lavapipe and prints its SPIR-V; Mesa's RADV compiles that for a family that it is told to imagine. Nothing runs:
 * time, bandwidth and caches are not in it. Without --only, bench/static/README.md is written.
 */
import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { linkShader } from "../../src/kernels/link.ts";
import { staticGroups } from "./kernels.ts";
import { readListing, type StaticFigures } from "./listing.ts";
import { type GroupFigures, groupTable, staticPage } from "./report.ts";
import { writeSpirv } from "./spirv.ts";

const here = dirname(fileURLToPath(import.meta.url));
const run = promisify(execFile);
/** RDNA3 and Vega. */
const families = ["navi31", "vega10"] as const;

const { values } = parseArgs({ options: { only: { type: "string" } } });
const wanted = values.only === undefined ? null : new RegExp(values.only);
const groups = staticGroups()
  .map(({ title, kernels }) => ({ title, kernels: kernels.filter(({ name }) => !wanted || wanted.test(name)) }))
  .filter(({ kernels }) => kernels.length > 0);
if (groups.length === 0) throw new Error(`No kernel's name matches ${values.only}`);

const folder = mkdtempSync(join(tmpdir(), "sluice-static-"));
try {
  const all = groups.flatMap(({ kernels }) => kernels);
  const files = all.map((_, i) => join(folder, `${i}.wgsl`));
  for (const [i, kernel] of all.entries()) writeFileSync(files[i] as string, await linkShader(kernel.shader));
  await writeSpirv(files, driver("lvp_icd"));
  const byFamily: Record<string, readonly StaticFigures[]> = {};
  for (const family of families) byFamily[family] = await compileFor(family, files);
  const rows = all.map(({ name }, i) => ({
    kernel: name,
    figures: Object.fromEntries(families.map((family) => [family, byFamily[family]?.[i] as StaticFigures])),
  }));
  const results: readonly GroupFigures[] = groups.map(({ title, kernels }) => ({
    title,
    rows: rows.filter(({ kernel }) => kernels.some(({ name }) => name === kernel)),
  }));
  if (wanted) for (const group of results) console.log(`${groupTable(group, families)}\n`);
  else {
    const about = { families, versions: [version("mesa-vulkan-drivers"), version("spirv-tools")] };
    writeFileSync(join(here, "README.md"), staticPage(results, about));
    console.log(`${all.length} kernels on ${families.join(" and ")}: bench/static/README.md`);
  }
} finally {
  rmSync(folder, { recursive: true });
}

async function compileFor(family: string, files: readonly string[]): Promise<readonly StaticFigures[]> {
  const spirv = files.map((file) => file.replace(/wgsl$/, "spv"));
  const { stderr } = await run(
    "python3",
    [join(here, "compile.py"), ...spirv.flatMap((file) => ["dawn_entry_point", file])],
    {
      env: {
        ...process.env,
        VK_DRIVER_FILES: driver("radeon_icd"),
        RADV_FORCE_FAMILY: family,
        RADV_DEBUG: "shaderstats,asm",
        MESA_SHADER_CACHE_DISABLE: "true",
      },
      maxBuffer: 1 << 30,
    },
  );
  const listings = stderr.split(/^=== .*$/m).slice(1);
  return listings.map(readListing);
}

function driver(name: string): string {
  const folder = "/usr/share/vulkan/icd.d";
  const file = existsSync(folder) ? readdirSync(folder).find((entry) => entry.startsWith(name)) : undefined;
  if (!file) throw new Error(`No Vulkan driver ${name} in ${folder}: apt install mesa-vulkan-drivers`);
  return join(folder, file);
}

function version(debianPackage: string): string {
  return execFileSync("dpkg-query", ["-W", "-f", "$" + "{Package} $" + "{Version}", debianPackage], {
    encoding: "utf8",
  });
}
