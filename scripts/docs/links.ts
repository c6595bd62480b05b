/** Links between Markdown files: that each leads to a file, and each `#anchor` to a heading. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join, posix } from "node:path";

/**
 * The faults in the links of Markdown files, each as `file:line: sentence`. Addresses of the web are left alone:
 * a check that needs other people's servers fails for their reasons.
 * @param root folder that the files, and everything that they link to, are in
 * @param files paths in it, with `/`
 */
export function brokenLinks(root: string, files: readonly string[]): string[] {
  return files.flatMap((file) => {
    const text = withoutCode(readFileSync(join(root, file), "utf8"));
    return linksOf(text).flatMap(({ target, line }) => {
      const problem = problemOf(root, file, target);
      return problem ? [`${file}:${line}: ${problem}`] : [];
    });
  });
}

/** The anchors that GitHub and npm give to the headings of a Markdown text. */
export function anchorsOf(markdown: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ""] of withoutCode(markdown, false).matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)) {
    const slug = heading
      .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, "")
      .replaceAll(" ", "-");
    let anchor = slug;
    for (let count = 1; anchors.has(anchor); count += 1) anchor = `${slug}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}

function problemOf(root: string, file: string, target: string): string | undefined {
  if (/^[a-z][a-z\d+.-]*:/i.test(target)) return undefined;
  const [path = "", anchor] = target.split("#");
  const linked = path === "" ? file : posix.normalize(posix.join(posix.dirname(file), decodeURIComponent(path)));
  if (linked.startsWith("../") || posix.isAbsolute(path)) return `links to ${target}, outside of ${file}'s folders`;
  if (!existsSync(join(root, linked))) return `links to ${target}, but there is no ${linked}`;
  if (anchor === undefined) return undefined;
  if (!linked.endsWith(".md") || !statSync(join(root, linked)).isFile())
    return `links to ${target}, which has no headings`;
  const anchors = anchorsOf(readFileSync(join(root, linked), "utf8"));
  return anchors.has(anchor) ? undefined : `links to ${target}, but ${linked} has no heading #${anchor}`;
}

/** Inline links and images, reference definitions, and the `src` and `href` of HTML. */
function linksOf(markdown: string): { target: string; line: number }[] {
  const inline = /\]\(\s*<?([^()\s>]+(?:\([^()\s]*\)[^()\s>]*)?)>?(?:\s+["'][^)]*)?\)/g;
  const definition = /^ {0,3}\[[^\]]+\]:\s+<?(\S+?)>?(?:\s|$)/gm;
  const html = /\b(?:src|href)="([^"]+)"/g;
  return [inline, definition, html].flatMap((pattern) =>
    [...markdown.matchAll(pattern)].map(({ 1: target = "", index }) => ({
      target,
      line: markdown.slice(0, index).split("\n").length,
    })),
  );
}

/** The text with fenced blocks, and code in lines unless told otherwise, blanked out; every line stays. */
function withoutCode(markdown: string, inLines = true): string {
  const blank = (part: string) => part.replace(/[^\n]/g, " ");
  const fenced = markdown.replace(/^ {0,3}(`{3,}|~{3,})[^\n]*\n[\s\S]*?^ {0,3}\1[`~]*[ \t]*$/gm, blank);
  return inLines ? fenced.replace(/(`+)(?!`)[^\n]*?[^`]\1(?!`)/g, blank) : fenced;
}
