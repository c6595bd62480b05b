/** What a model of text says with and without the edges that are cut, and how far its predictions move. */
import { signal } from "@preact/signals";
import { engine } from "../engine.ts";
import { type Failure, failureOf, wasStopped } from "../state/failure.ts";
import { model } from "../state/model.ts";
import { circuitBundle, type Means } from "./bundle.ts";
import type { Graph } from "./graph.ts";
import { cut, graph, showAttribution } from "./state.ts";

export interface Said {
  readonly plain: string;
  readonly edited: string;
  /** KL(plain ‖ edited) after the prompt's last token, and on average over the prompt, in nats. */
  readonly last: number;
  readonly mean: number;
}

export const text = signal("Once upon a time there was a little girl who");
export const said = signal<Said | null>(null);
export const isRunning = signal(false);
export const failure = signal<Failure | null>(null);
/** What replaces a cut source: its mean over the text, or nothing. */
export const replacement = signal<"means" | "zero">("means");

let isDirty = false;
let means: { readonly of: string; readonly model: unknown; readonly values: Means } | null = null;

/** Runs again with the edges that are cut now. */
export async function continueText(): Promise<void> {
  isDirty = true;
  if (isRunning.value) return;
  isRunning.value = true;
  failure.value = null;
  try {
    while (isDirty) {
      isDirty = false;
      await continueOnce();
    }
  } catch (error) {
    if (!wasStopped(error)) failure.value = failureOf(error);
  } finally {
    isRunning.value = false;
  }
}

async function continueOnce(): Promise<void> {
  const [opened, shown] = [model.value, graph.value];
  if (!opened || !shown) return;
  const edges = shown.edges.filter(({ index }) => cut.value.has(index));
  // A plan without a cut edge has no mask; one whole edge keeps both sides in the same plan.
  const structure = edges.length > 0 ? edges : shown.edges.slice(0, 1);
  const bundle = circuitBundle(opened.config, shown, structure, cut.value, await meansOf(shown));
  const edited = await opened.with([bundle]);
  const compared = await edited.compare(text.value, { maxNewTokens: 24, temperature: 0, most: 0 });
  said.value = {
    plain: compared.plain.text ?? compared.plain.tokens.join(" "),
    edited: compared.edited.text ?? compared.edited.tokens.join(" "),
    last: compared.kl_nats.last,
    mean: compared.kl_nats.mean,
  };
  edited.dispose();
}

/** What each edge is worth on the text, by the gradient of the loss, with the edges that are cut now. */
export async function attributeText(): Promise<void> {
  const [opened, shown] = [model.value, graph.value];
  if (!opened || !shown || isRunning.value) return;
  isRunning.value = true;
  failure.value = null;
  try {
    const ids = await opened.encode(text.value);
    showAttribution(await gradientOf(shown, [ids], await meansOf(shown)));
  } catch (error) {
    failure.value = failureOf(error);
  } finally {
    isRunning.value = false;
  }
}

/** −∂loss/∂m of every edge at the present cuts, with the loss from position `scoreFrom` on. */
export async function gradientOf(
  { shape, destinations }: Graph,
  texts: readonly (readonly number[])[],
  constants: Means | null,
  scoreFrom = 1,
): Promise<Float32Array> {
  const opened = model.value;
  if (!opened) throw new Error("No model is open");
  const data = new Float32Array(shape[0] * shape[1]).fill(1);
  for (const index of cut.value) data[index] = 0;
  const attributed = await (await engine()).openAttribution(opened, texts, { destinations, scoreFrom });
  try {
    const { gradient } = await attributed.run({ mask: { data, shape }, ...(constants && { constants }) });
    return gradient.data.map((value) => -value);
  } finally {
    attributed.dispose();
  }
}

/** Means of what each source writes over the text; kept until text or model change. */
async function meansOf({ destinations }: Graph): Promise<Means | null> {
  const opened = model.value;
  if (!opened || replacement.value === "zero") return null;
  if (means?.of === text.value && means.model === opened) return means.values;
  const attributed = await (await engine()).openAttribution(opened, [await opened.encode(text.value)], {
    destinations,
  });
  try {
    const { data, shape } = await attributed.means();
    means = { of: text.value, model: opened, values: { data, shape } };
    return means.values;
  } finally {
    attributed.dispose();
  }
}

/** The circuit as a file, and for the room Steer. */
export async function bundleBytes(constants?: Means | null): Promise<Uint8Array> {
  const [opened, shown] = [model.value, graph.value];
  if (!opened || !shown) throw new Error("No model is open");
  const edges = shown.edges.filter(({ index }) => cut.value.has(index));
  const values = constants === undefined ? await meansOf(shown) : constants;
  return (await engine()).writeBundle(circuitBundle(opened.config, shown, edges, cut.value, values));
}
