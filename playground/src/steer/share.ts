/** Links that reproduce: everything a run depends on, in the fragment of the address, which no server sees. */
import { signal } from "@preact/signals";
import { ask, newChat } from "../chat/chat.ts";
import { givenTurn } from "../chat/given-turn.ts";
import { chatSampling, message, system, type Turn, turns } from "../chat/turns.ts";
import { addNamed, connect } from "../server/connect.ts";
import { addBundle, bundles, clearBundles } from "../state/bundles.ts";
import { type Failure, failureOf } from "../state/failure.ts";
import { choiceOf, chosen, loading, model, modelFailure, openModel, smallModels } from "../state/model.ts";
import { server } from "../state/server.ts";
import { setStages, stagesNow } from "../state/shared-stages.ts";
import { addFromShelf } from "../state/shelf.ts";
import { packed } from "./packed-text.ts";
import { clearRun, generate, isChat, prompt, sampling, sides, wantsChat } from "./run.ts";
import { changedAt, isBusy, runState, type SideName } from "./run-state.ts";
import {
  INLINE_BYTES,
  readLink,
  type Shared,
  type SharedBundle,
  type SharedTokens,
  type SharedTurn,
} from "./shared-link.ts";

/** What is said of a link that was opened or copied. */
export const linkNotice = signal<string | null>(null);
export const linkFailure = signal<Failure | null>(null);
/** A link that waits for a click, because it names another host. */
export const waiting = signal<Shared | null>(null);

/** The address of what is on the screen. @throws if a bundle is too large to travel and has no address */
export async function linkOf(): Promise<string> {
  const asked = server.value;
  const shared: Shared = {
    v: 1,
    model: asked?.model ?? chosen.value?.id ?? "",
    ...(asked && { server: asked.address }),
    bundles: bundles.value.map(({ title, sha256, origin, bytes }) => {
      const inline = origin.kind === "file" && bytes.length <= INLINE_BYTES;
      return { title, sha256, from: origin, ...(inline && { bytes: base64(bytes) }) };
    }),
    stages: stagesNow(),
    prompt: prompt.value,
    chat: isChat.value,
    sampling: isChat.value ? chatSampling.value : sampling.value,
    device: model.value?.device.name ?? "",
    ...(isChat.value ? { system: system.value, turns: turns.value.map(sharedTurn) } : runTokens()),
  };
  return `${location.href.replace(/#.*$/, "")}#s=${await packed(JSON.stringify(shared))}`;
}

function runTokens(): Pick<Shared, "tokens"> {
  if (runState.value !== "done" || changedAt.value.length > 0) return {};
  return { tokens: tokensOf(sides.value) };
}

function tokensOf(both: Turn["answers"] | typeof sides.value): SharedTokens {
  const ids = (side: SideName) => both[side].tokens.map(({ id, text }) => id ?? text);
  return { plain: ids("plain"), edited: ids("edited") };
}

function sharedTurn({ message: text, sampling: drawn, stages, isMoved, answers }: Turn): SharedTurn {
  const isStopped = [answers.plain, answers.edited].some(({ end }) => end === "stopped" || end === "given");
  return { message: text, sampling: drawn, stages, tokens: tokensOf(answers), isGiven: isMoved || isStopped };
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
  linkNotice.value = null;
  linkFailure.value = null;
  try {
    const shared = await readLink(text);
    prompt.value = shared.prompt;
    const isHere = shared.server === undefined && smallModels.some(({ id }) => id === shared.model);
    if (isHere && shared.bundles.every(({ from }) => from.kind !== "link")) await follow(shared);
    else waiting.value = shared;
    return true;
  } catch (error) {
    linkFailure.value = failureOf(error);
    return false;
  }
}

/** Does what a link says: model, bundles, settings, run. */
export async function follow(shared: Shared): Promise<void> {
  if (shared.server === undefined) {
    waiting.value = null;
    // The model that is open stays, with its kernels, unless it has a run to end or another is on its way.
    const isHere = model.value !== null && chosen.value?.kind === "small" && chosen.value.id === shared.model;
    const isIdle = !isBusy.value && loading.value === null;
    clearRun();
    if (!isHere || !isIdle) {
      await openModel(choiceOf(shared.model));
      if (modelFailure.value) return;
    }
  } else if (!(await reach(shared.server, shared.model))) return;
  waiting.value = null;
  clearBundles();
  const missing: string[] = [];
  for (const bundle of shared.bundles) if (!(await fetchBundle(bundle))) missing.push(bundle.title);
  wantsChat.value = shared.chat;
  (shared.chat ? chatSampling : sampling).value = shared.sampling;
  if (missing.length > 0) {
    prompt.value = shared.prompt;
    linkNotice.value = `Add ${missing.join(" and ")} yourself: the link does not hold it.`;
    return;
  }
  if (shared.chat) await followChat(shared);
  else {
    prompt.value = shared.prompt;
    setStages(shared.stages);
    await generate();
    const isSame = shared.tokens && runState.value === "done" ? sameTokens(shared.tokens, tokensOf(sides.value)) : null;
    linkNotice.value = verdict(shared, isSame);
  }
}

/** Connects, unless the user has: a link brings no key. */
async function reach(address: string, name: string): Promise<boolean> {
  if (server.value?.address !== address && !(await connect(address, ""))) return false;
  const open = server.value;
  if (open?.models.includes(name)) server.value = { ...open, model: name };
  return true;
}

/** The chat again, turn by turn, each with the sliders of its time. A link of one turn has its message as the prompt. */
async function followChat(shared: Shared): Promise<void> {
  newChat();
  system.value = shared.system ?? "";
  let isSame: boolean | null = null;
  if (shared.turns === undefined) await ask(shared.prompt, shared.sampling);
  for (const turn of shared.turns ?? []) {
    setStages(turn.stages);
    if (turn.isGiven) {
      await givenTurn(turn);
      continue;
    }
    await ask(turn.message, turn.sampling);
    const said = turns.value.at(-1)?.answers;
    if (runState.value !== "done" || !said) break;
    isSame = isSame !== false && sameTokens(turn.tokens, tokensOf(said));
  }
  setStages(shared.stages);
  message.value = "";
  linkNotice.value = verdict(shared, isSame);
}

function sameTokens(one: SharedTokens, other: SharedTokens): boolean {
  return JSON.stringify([one.plain, one.edited]) === JSON.stringify([other.plain, other.edited]);
}

async function fetchBundle({ title, sha256, from, bytes }: SharedBundle): Promise<boolean> {
  if (from.kind === "shelf") await addFromShelf(from.id);
  else if (from.kind === "link") await addFromLink(from.address);
  else if (from.kind === "server") return addNamed(from.name);
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

/** @param isSame null if there is nothing to compare */
function verdict({ device }: Shared, isSame: boolean | null): string {
  const here = model.value?.device.name ?? "";
  const other = device !== "" && device !== here ? ` The link was made on ${device}; here it is ${here}.` : "";
  if (isSame === null) return `Opened from a link.${other}`;
  return isSame
    ? `Opened from a link: the same tokens as when it was made.${other}`
    : `Opened from a link, but the tokens differ from those when it was made.${other || " The engine may be of another version."}`;
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
