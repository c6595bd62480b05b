/** Links that reproduce: everything a run depends on, in the fragment of the address, which no server sees. */
import { signal } from "@preact/signals";
import { addBundle, bundles, clearBundles, type Origin, type Scope, setStage, settings } from "../state/bundles.ts";
import { type Failure, failureOf } from "../state/failure.ts";
import { choiceOf, chosen, model, modelFailure, openModel, smallModels } from "../state/model.ts";
import { addFromShelf } from "../state/shelf.ts";
import { packed, unpacked } from "./packed-text.ts";
import type { Sampling } from "./pair.ts";
import { asChat, changedAt, clearRun, generate, prompt, runState, sampling, sides } from "./run.ts";

/** Bundles of at most this many bytes travel in the link. */
const INLINE_BYTES = 32 << 10;

interface SharedBundle {
  readonly title: string;
  readonly sha256: string;
  readonly from: Origin;
  /** Its bytes as base64, if it is small and has no address. */
  readonly bytes?: string;
}

interface SharedStage {
  readonly id: string;
  readonly on: boolean;
  readonly strength: number;
  readonly alpha: number | null;
  readonly scope: Scope;
  /** Edges that differ from the bundle, by their index. */
  readonly edges: readonly (readonly [index: number, value: number])[];
}

/** What a link holds. */
interface Shared {
  readonly v: 1;
  readonly model: string;
  readonly bundles: readonly SharedBundle[];
  readonly stages: readonly SharedStage[];
  readonly prompt: string;
  readonly chat: boolean;
  readonly sampling: Sampling;
  readonly device: string;
  /** What came out, so that whoever opens it sees whether it is the same. */
  readonly tokens?: { readonly plain: readonly number[]; readonly edited: readonly number[] };
}

/** What is said of a link that was opened or copied. */
export const linkNotice = signal<string | null>(null);
export const linkFailure = signal<Failure | null>(null);
/** A link that waits for a click, because it names another host. */
export const waiting = signal<Shared | null>(null);

/** The address of what is on the screen. @throws if a bundle is too large to travel and has no address */
export async function linkOf(): Promise<string> {
  const id = chosen.value?.id ?? "";
  const shared: Shared = {
    v: 1,
    model: id,
    bundles: bundles.value.map(({ title, sha256, origin, bytes }) => {
      const inline = origin.kind === "file" && bytes.length <= INLINE_BYTES;
      return { title, sha256, from: origin, ...(inline && { bytes: base64(bytes) }) };
    }),
    stages: settings.value.map(({ id: stage, on, strength, alpha, scope, edges, manifest }) => {
      const made = manifest.kind === "edge_mask" ? (manifest.edges ?? []) : [];
      const moved = edges.flatMap(({ value }, i) => (value === made[i]?.[2] ? [] : [[i, value] as const]));
      return { id: stage, on, strength, alpha, scope, edges: moved };
    }),
    prompt: prompt.value,
    chat: asChat.value,
    sampling: sampling.value,
    device: model.value?.device.name ?? "",
    ...(runState.value === "done" &&
      changedAt.value.length === 0 && {
        tokens: {
          plain: sides.value.plain.tokens.map((token) => token.id),
          edited: sides.value.edited.tokens.map((token) => token.id),
        },
      }),
  };
  return `${location.href.replace(/#.*$/, "")}#s=${await packed(JSON.stringify(shared))}`;
}

/** Puts the link on the clipboard and into the address bar. */
export async function copyLink(): Promise<void> {
  linkFailure.value = null;
  const link = await linkOf();
  history.replaceState(null, "", link);
  const lost = bundles.value.filter(({ origin, bytes }) => origin.kind === "file" && bytes.length > INLINE_BYTES);
  const note = [
    ...lost.map(({ title }) => `${title} is too large for a link: whoever opens it is asked for the file.`),
    ...(changedAt.value.length > 0 ? ["Sliders moved during this run; the link starts with where they are now."] : []),
  ].join(" ");
  try {
    await navigator.clipboard.writeText(link);
    linkNotice.value = `Link copied. ${note}`.trim();
  } catch {
    // Without the clipboard's permission the address bar has it.
    linkNotice.value = `The link is in the address bar. ${note}`.trim();
  }
}

/** Opens the link that the page was opened with. A model of another host waits for a click. */
export async function openLink(): Promise<boolean> {
  const text = /^#s=(.+)$/.exec(location.hash)?.[1];
  if (text === undefined) return false;
  try {
    const shared = JSON.parse(await unpacked(text)) as Shared;
    if (shared.v !== 1) throw new Error("This link was made by another version of the playground.");
    prompt.value = shared.prompt;
    asChat.value = shared.chat;
    sampling.value = shared.sampling;
    const isHere = smallModels.some(({ id }) => id === shared.model);
    if (isHere && shared.bundles.every(({ from }) => from.kind !== "link")) await follow(shared);
    else waiting.value = shared;
    return true;
  } catch (error) {
    linkFailure.value = failureOf(error instanceof SyntaxError ? new Error("This link is damaged.") : error);
    return false;
  }
}

/** Does what a link says: model, bundles, settings, run. */
export async function follow(shared: Shared): Promise<void> {
  waiting.value = null;
  clearRun();
  await openModel(choiceOf(shared.model));
  if (modelFailure.value) return;
  clearBundles();
  prompt.value = shared.prompt;
  asChat.value = shared.chat;
  const missing: string[] = [];
  for (const bundle of shared.bundles) if (!(await fetchBundle(bundle))) missing.push(bundle.title);
  if (missing.length > 0) {
    linkNotice.value = `Add ${missing.join(" and ")} yourself: the link does not hold it.`;
    return;
  }
  for (const { id, edges, ...change } of shared.stages) {
    const stage = settings.value.find((each) => each.id === id);
    const moved = new Map(edges);
    if (stage)
      setStage(id, {
        ...change,
        edges: stage.edges.map((edge, i) => ({ ...edge, value: moved.get(i) ?? edge.value })),
      });
  }
  await generate();
  linkNotice.value = verdict(shared);
}

async function fetchBundle({ title, sha256, from, bytes }: SharedBundle): Promise<boolean> {
  if (from.kind === "shelf") await addFromShelf(from.id);
  else if (from.kind === "link") await addFromLink(from.address);
  else if (bytes !== undefined) {
    await addBundle(
      Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0)),
      title,
      { kind: "file" },
    );
  } else return false;
  if (!bundles.value.some((open) => open.sha256 === sha256)) {
    linkFailure.value = failureOf(new Error(`${title} is not the file that the link was made with.`));
  }
  return true;
}

/** Fetches a bundle from an address that the user named. */
export async function addFromLink(address: string): Promise<boolean> {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: the server answers ${response.status} ${response.statusText}`);
  const name = decodeURIComponent(new URL(address).pathname.split("/").at(-1) ?? "bundle");
  return addBundle(new Uint8Array(await response.arrayBuffer()), name, { kind: "link", address });
}

function verdict({ tokens, device }: Shared): string {
  const here = model.value?.device.name ?? "";
  const other = device !== "" && device !== here ? ` The link was made on ${device}; here it is ${here}.` : "";
  if (!tokens || runState.value !== "done") return `Opened from a link.${other}`;
  const same = (["plain", "edited"] as const).every(
    (side) => tokens[side].join() === sides.value[side].tokens.map(({ id }) => id).join(),
  );
  return same
    ? `Opened from a link: the same tokens as when it was made.${other}`
    : `Opened from a link, but the tokens differ from those when it was made.${other || " The engine may be of another version."}`;
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
