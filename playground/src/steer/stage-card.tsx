/** One stage of a bundle: what it does in words, and what can be turned. */
import { useSignal } from "@preact/signals";
import { Slider, Switch } from "../parts/controls.tsx";
import { Scroller } from "../parts/scroller.tsx";
import { resetStage, type Scope, type StageSetting, setEdge, setStage } from "../state/bundles.ts";
import { alphaWords, type Concept, stageWords, strengthWords } from "./words.ts";

const scopes: readonly (readonly [Scope, string])[] = [
  ["made", "as the bundle says"],
  ["all", "every token"],
  ["prompt", "the prompt"],
  ["generated", "new tokens"],
  ["last_prompt_onward", "the prompt's last token and new ones"],
];

interface Props {
  readonly stage: StageSetting;
  readonly concept: Concept;
}

export function StageCard({ stage, concept }: Props) {
  const { id, manifest, on, strength, alpha, scope } = stage;
  return (
    <fieldset class={`stage${on ? "" : " off"}`} aria-label={id}>
      <div class="row spread">
        <span class="stage-id">{id}</span>
        <Switch label="On" checked={on} onChange={(checked) => setStage(id, { on: checked })} />
      </div>
      <p class="words">{stageWords(manifest, concept)}</p>
      {alpha !== null && (
        <Slider
          label="Alpha"
          value={alpha}
          least={Math.min(-2, alpha)}
          most={Math.max(4, alpha)}
          words={alphaWords(stage, alpha, concept)}
          onChange={(value) => setStage(id, { alpha: value })}
        />
      )}
      <Slider
        label="Strength"
        value={strength}
        least={Math.min(-2, strength)}
        most={Math.max(manifest.kind === "edge_mask" ? 1 : 3, strength)}
        words={on ? strengthWords(strength) : "switched off"}
        onChange={(value) => setStage(id, { strength: value })}
      />
      {stage.edges.length > 0 && <EdgeSwitches stage={stage} />}
      <div class="row spread end">
        {manifest.kind === "edge_mask" ? (
          <span class="soft small">Acts on every token.</span>
        ) : (
          <label class="field">
            <span>Acts on</span>
            <select
              value={scope}
              onChange={({ currentTarget }) => setStage(id, { scope: currentTarget.value as Scope })}
            >
              {scopes.map(([value, words]) => (
                <option key={value} value={value}>
                  {words}
                </option>
              ))}
            </select>
          </label>
        )}
        <button type="button" class="button small quiet" onClick={() => resetStage(id)}>
          Reset
        </button>
      </div>
    </fieldset>
  );
}

/** Switches that are shown at once; the room Circuit shows all edges. */
const SHOWN = 60;

function EdgeSwitches({ stage }: { readonly stage: StageSetting }) {
  const filter = useSignal("");
  const found = stage.edges.filter(({ source, destination }) =>
    `${source} → ${destination}`.includes(filter.value.trim()),
  );
  const cut = stage.edges.filter(({ value }) => value < 1).length;
  return (
    <div class="stack">
      <div class="row spread">
        <h3>
          {cut} of {stage.edges.length} edges cut
        </h3>
      </div>
      {stage.edges.length > 8 && (
        <input
          type="search"
          aria-label="Find an edge"
          placeholder="Find an edge, such as 2.mlp"
          value={filter.value}
          onInput={({ currentTarget }) => {
            filter.value = currentTarget.value;
          }}
        />
      )}
      <Scroller label="Edges" kind="edge-list">
        {found.slice(0, SHOWN).map(({ source, destination, value }) => (
          <Switch
            key={`${source}>${destination}`}
            label={`${source} → ${destination}`}
            checked={value > 0}
            onChange={(kept) => setEdge(stage.id, source, destination, kept ? 1 : 0)}
          />
        ))}
      </Scroller>
      {found.length > SHOWN && <small class="soft">and {found.length - SHOWN} more; the room Circuit shows all</small>}
    </div>
  );
}
