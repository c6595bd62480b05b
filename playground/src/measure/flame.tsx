/** A flame chart of one prefill and one decode step: phases, layers, dispatches, as wide as they took. */
import { useSignal } from "@preact/signals";
import type { Profile, ProfiledDispatch, ProfilePhase } from "sluice";
import { Scroller } from "../parts/scroller.tsx";

interface Block {
  readonly label: string;
  readonly ms: number;
  readonly start: number;
}

const WIDTH = 1000;
const ROW = 26;

export function Flame({ profile }: { readonly profile: Profile }) {
  const phase = useSignal<ProfilePhase>("decode");
  const pointed = useSignal<Block | null>(null);
  const step = profile.dispatches.filter((each) => each.phase === phase.value && each.step === 0);
  const dispatches = stacked(step, ({ label }) => label);
  const layers = merged(step);
  const total = step.reduce((sum, { ms }) => sum + (ms ?? 0), 0);
  if (total === 0) return null;
  const scale = WIDTH / total;
  const row = (blocks: readonly Block[], y: number, kind: string) =>
    blocks.map((block, i) => (
      <g key={i} onPointerEnter={() => (pointed.value = block)}>
        <rect x={block.start * scale} y={y} width={Math.max(0.5, block.ms * scale - 0.6)} height={ROW - 2} class={kind}>
          <title>
            {block.label}: {block.ms.toFixed(3)} ms
          </title>
        </rect>
        {block.ms * scale > block.label.length * 6.6 && (
          <text x={block.start * scale + 4} y={y + 16}>
            {block.label}
          </text>
        )}
      </g>
    ));
  return (
    <section class="card stack" aria-label="Flame chart">
      <div class="row spread">
        <h2>Where the time goes</h2>
        <label class="row">
          <span class="label">Step of</span>
          <select
            style={{ width: "auto" }}
            value={phase.value}
            onChange={({ currentTarget }) => {
              phase.value = currentTarget.value as ProfilePhase;
              pointed.value = null;
            }}
          >
            <option value="decode">decode</option>
            <option value="prefill">prefill</option>
          </select>
        </label>
      </div>
      <Scroller label="Flame chart, scrolls">
        <svg
          class="flame"
          viewBox={`0 0 ${WIDTH} ${ROW * 3}`}
          role="img"
          aria-label={`Flame chart of a ${phase.value} step of ${total.toFixed(2)} ms`}
        >
          {row([{ label: `${phase.value}: ${total.toFixed(2)} ms`, ms: total, start: 0 }], 0, "phase")}
          {row(layers, ROW, "layer")}
          {row(dispatches, 2 * ROW, "dispatch")}
        </svg>
      </Scroller>
      <p class="small number">
        {pointed.value ? (
          <>
            <strong>{pointed.value.label}</strong>: {pointed.value.ms.toFixed(3)} ms,{" "}
            {((pointed.value.ms / total) * 100).toFixed(1)} %
          </>
        ) : (
          <span class="soft">Point at a block to read it.</span>
        )}
      </p>
    </section>
  );
}

function stacked(step: readonly ProfiledDispatch[], name: (each: ProfiledDispatch) => string): Block[] {
  let start = 0;
  return step.map((each) => {
    const block = { label: name(each), ms: each.ms ?? 0, start };
    start += block.ms;
    return block;
  });
}

/** Neighbours of one layer as one block. */
function merged(step: readonly ProfiledDispatch[]): Block[] {
  const blocks: Block[] = [];
  for (const { label, ms, start } of stacked(step, ({ layer, label }) => (layer === null ? label : `layer ${layer}`))) {
    const last = blocks.at(-1);
    if (last?.label === label) blocks[blocks.length - 1] = { ...last, ms: last.ms + ms };
    else blocks.push({ label, ms, start });
  }
  return blocks;
}
