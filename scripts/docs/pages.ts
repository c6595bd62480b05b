/** Which pages there are, in the order in which a newcomer reads them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../packed.ts";
import { type Page, readPage } from "./blocks.ts";
import { brokenLinks } from "./links.ts";

/** What comes before the other pages, because they build on it. */
const first = ["README.md", "src/index.ts", "docs/interventions.md"];

/** The pages whose blocks are run, in order. */
export function readPages(): Page[] {
  const others = readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`)
    .filter((path) => !first.includes(path))
    .sort();
  return [...first, ...others].map((path) => readPage(path, readFileSync(join(root, path), "utf8")));
}

/** Broken links of all Markdown files below a folder, except installed and hidden ones. */
export function brokenLinksBelow(folder: string): string[] {
  return brokenLinks(folder, markdownBelow(folder, ""));
}

function markdownBelow(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) {
      return entry.name === "node_modules" || entry.name.startsWith(".") ? [] : markdownBelow(root, path);
    }
    return entry.name.endsWith(".md") ? [path] : [];
  });
}
