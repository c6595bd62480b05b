/** The room Measure: how fast this device is, where its time goes, and a report to attach to an issue. */
import { signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { Progress } from "../parts/controls.tsx";
import { Figure } from "../parts/figures.tsx";
import { NeedsModel } from "../parts/needs-model.tsx";
import { FailureNotice } from "../parts/notice.tsx";
import { model } from "../state/model.ts";
import { Correctness } from "./correctness.tsx";
import { Flame } from "./flame.tsx";
import type { PageReport } from "./report.ts";
import { Roofline } from "./roofline.tsx";
import {
  type Checks,
  checks,
  defaultChecks,
  doing,
  type Measured,
  measure,
  measured,
  measureFailure,
  stopMeasuring,
} from "./state.ts";

const copied = signal("");

export function Measure() {
  const opened = model.value;
  if (!opened) {
    return (
      <NeedsModel
        suggests="gpt2-stories"
        says="How fast is this machine, where does the time go, and does every kernel compute here what it should?"
      />
    );
  }
  const { name, backend, software, features, limits } = opened.device;
  return (
    <div class="stack">
      <section class="card stack" aria-label="Device">
        <div class="row spread">
          <h2>{name}</h2>
          <span class="row">
            {backend && <span class="chip">{backend}</span>}
            {software && <span class="chip">software: the CPU computes</span>}
            <span class="chip">{features.shaderF16 ? "float16" : "no float16"}</span>
            <span class="chip">
              {features.subgroups
                ? `subgroups of ${features.subgroups.min} to ${features.subgroups.max}`
                : "no subgroups"}
            </span>
            <span class="chip">{features.timestampQuery ? "GPU clock" : "no GPU clock"}</span>
          </span>
        </div>
        <div class="row">
          <button type="button" class="button primary" disabled={doing.value !== null} onClick={() => void measure()}>
            Run
          </button>
          <button type="button" class="button" disabled={doing.value === null} onClick={stopMeasuring}>
            Stop
          </button>
          <label class="row">
            <span class="label">Compare with the CPU</span>
            <select
              style={{ width: "auto" }}
              value={checks.value ?? defaultChecks(opened)}
              onChange={({ currentTarget }) => {
                checks.value = currentTarget.value as Checks;
              }}
            >
              <option value="all">every kernel</option>
              <option value="quick">the kernels in use</option>
              <option value="none">nothing</option>
            </select>
          </label>
          {measured.value && <ReportLinks report={measured.value.report} />}
        </div>
        {doing.value && (
          <Progress
            label="Measuring"
            words={`${doing.value.words} …`}
            done={doing.value.done}
            total={doing.value.total}
          />
        )}
        {measureFailure.value && <FailureNotice failure={measureFailure.value} />}
        <details>
          <summary>Limits</summary>
          <table class="limits">
            <tbody>
              {Object.entries(limits).map(([limit, value]) => (
                <tr key={limit}>
                  <th scope="row">{limit}</th>
                  <td class="right">{value.toLocaleString("en")}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </details>
      </section>
      {measured.value && <Results measured={measured.value} />}
    </div>
  );
}

function ReportLinks({ report }: { readonly report: PageReport }) {
  const text = useMemo(() => `${JSON.stringify(report, null, 2)}\n`, [report]);
  const address = useMemo(() => URL.createObjectURL(new Blob([text], { type: "application/json" })), [text]);
  useEffect(() => () => URL.revokeObjectURL(address), [address]);
  return (
    <>
      <a class="button" href={address} download="device-report.json">
        Save report
      </a>
      <button
        type="button"
        class="button"
        onClick={() => {
          navigator.clipboard.writeText(text).then(
            () => {
              copied.value = "Copied.";
            },
            () => {
              copied.value = "The browser did not let this page copy; save the report instead.";
            },
          );
        }}
      >
        Copy report
      </button>
      <span class="soft small" role="status">
        {copied.value}
      </span>
    </>
  );
}

function Results({ measured: { model: id, profile, report } }: { readonly measured: Measured }) {
  const { bench } = report;
  const { ceilings, time_to_first_token_ms: first } = bench;
  return (
    <>
      <section class="card stack" aria-label="Speed">
        <h2>Speed of {id}</h2>
        <dl class="figures">
          <Figure
            name="Decode"
            value={bench.decode_tokens_per_s.toFixed(0)}
            unit={`tokens/s, median of ${bench.repetitions}`}
          />
          <Figure
            name="Prefill"
            value={bench.prefill_tokens_per_s.toFixed(0)}
            unit={`tokens/s, prompt of ${bench.prompt_tokens}`}
          />
          <Figure
            name="First token"
            value={`${first.warm.toFixed(0)} ms`}
            unit={`cold ${first.cold.toFixed(0)} ms, of which compiling ${first.compile.toFixed(0)}`}
          />
          <Figure
            name="Memory on the GPU"
            value={megabytes(report.gpu_bytes)}
            unit={`with a session ${megabytes(bench.gpu_bytes)}`}
          />
          <Figure
            name="Read ceiling"
            value={`${ceilings.read_gb_per_s.toPrecision(3)} GB/s`}
            unit={`decode reaches ${share(bench.decode_share_of_bandwidth)}`}
          />
          <Figure
            name="Multiply-add ceiling"
            value={`${ceilings.fma_gflop_per_s.toPrecision(3)} Gflop/s`}
            unit={`prefill reaches ${share(bench.prefill_share_of_fma)}`}
          />
          <Figure
            name="Outer-product ceiling"
            value={`${ceilings.gemm_gflop_per_s.toPrecision(3)} Gflop/s`}
            unit={`prefill reaches ${share(bench.prefill_share_of_gemm)}`}
          />
        </dl>
      </section>
      {report.checks ? (
        <Correctness report={report} />
      ) : (
        doing.value && <p class="notice">Comparing kernels with the CPU: the report is complete when this has ended.</p>
      )}
      <Roofline profile={profile} />
      <Flame profile={profile} />
    </>
  );
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function share(value: number): string {
  return `${(value * 100).toFixed(1)} %`;
}
