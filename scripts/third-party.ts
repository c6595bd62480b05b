/**
 * Writes THIRD-PARTY.md, which travels with the package: every package of the lock file with its licence, and the
 * licences' texts of what is part of the built package.
 *
 *   npm run third-party
 */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(fileURLToPath(import.meta.url), "../..");

interface Locked {
  /** Where a package is installed under another name than its own. */
  readonly name?: string;
  readonly version: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly devOptional?: boolean;
  readonly link?: boolean;
}

/** What of other packages is part of ours, each with what it is; scripts/build.mjs holds `code` to what it bundles. */
interface Bundled {
  readonly code: Readonly<Record<string, string>>;
  readonly data: Readonly<Record<string, string>>;
}

const HEAD = `# Third-party software

Written by \`npm run third-party\` from package-lock.json. Sluice itself is under the [MIT licence](LICENSE).

`;

export async function thirdParty(): Promise<string> {
  const { packages } = JSON.parse(await readFile(join(root, "package-lock.json"), "utf8")) as {
    packages: Readonly<Record<string, Locked>>;
  };
  const bundled = JSON.parse(await readFile(join(root, "scripts/bundled.json"), "utf8")) as Bundled;
  const rows = new Map<string, { readonly use: string; readonly row: string }>();
  for (const [path, locked] of Object.entries(packages)) {
    if (path === "" || locked.link) continue;
    const name = locked.name ?? path.replace(/^.*node_modules\//, "");
    const use = useOf(locked);
    const part = name in bundled.code ? "its code" : name in bundled.data ? "its data" : "no";
    const row = `| ${name} | ${locked.version} | ${locked.license ?? "unknown"} | ${use} | ${part} |`;
    // One version may be installed in several places: what is installed with the package counts before what is not.
    const key = `${name} ${locked.version}`;
    if ((rows.get(key)?.use ?? "development") === "development") rows.set(key, { use, row });
  }
  const ordered = [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, each]) => each);
  const table = (isOurs: boolean): string =>
    [
      "| package | version | licence | needed for | part of Sluice's files |",
      "| --- | --- | --- | --- | --- |",
      ...ordered.filter(({ use }) => (use !== "development") === isOurs).map(({ row }) => row),
    ].join("\n");
  const parts = await Promise.all(
    Object.entries({ ...bundled.code, ...bundled.data }).map(async ([name, where]) => {
      const texts = await textsOf(name);
      return `### ${name}: ${where}\n\n${texts.map((text) => `\`\`\`text\n${text.trim()}\n\`\`\``).join("\n\n")}`;
    }),
  );
  return [
    `${HEAD}## Part of the package's files\n\n${parts.join("\n\n")}`,
    `## Installed with the package, or beside it if the application asks for it\n\nTheir licences' texts are in their own folders.\n\n${table(true)}`,
    `## Needed to build and test Sluice\n\nUsers of the package get nothing of them but what the last column says.\n\n${table(false)}\n`,
  ].join("\n\n");
}

function useOf({ dev, optional, devOptional }: Locked): string {
  if (dev) return "development";
  if (devOptional) return "an optional peer";
  return optional ? "an optional dependency" : "a dependency";
}

/** Licences of a package: its own files, and what scripts/licences/ has for those that lack one or hold others' work. */
async function textsOf(name: string): Promise<readonly string[]> {
  const folder = join(root, "node_modules", name);
  const own = (await readdir(folder)).filter((file) => /^licen[cs]e/i.test(file)).map((file) => join(folder, file));
  const kept: Readonly<Record<string, readonly string[]>> = {
    wesl: ["wesl.txt"],
    // Its table is OpenAI's.
    "gpt-tokenizer": ["gpt-2.txt"],
  };
  const files = [...own, ...(kept[name] ?? []).map((file) => join(root, "scripts/licences", file))];
  if (files.length === 0) throw new Error(`${name} is part of the package, and there is no text of its licence`);
  return Promise.all(files.map((file) => readFile(file, "utf8")));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(join(root, "THIRD-PARTY.md"), await thirdParty());
}
