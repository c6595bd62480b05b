/** What the server did, in Prometheus' text format. */
import type { BatchStats } from "../index.ts";

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

class Histogram {
  readonly #counts = new Array<number>(SECONDS.length).fill(0);
  #count = 0;
  #sum = 0;

  observe(seconds: number): void {
    SECONDS.forEach((bound, i) => {
      if (seconds <= bound) this.#counts[i] = (this.#counts[i] as number) + 1;
    });
    this.#count++;
    this.#sum += seconds;
  }

  lines(name: string): string[] {
    return [
      ...SECONDS.map((bound, i) => `${name}_bucket{le="${bound}"} ${this.#counts[i]}`),
      `${name}_bucket{le="+Inf"} ${this.#count}`,
      `${name}_sum ${this.#sum}`,
      `${name}_count ${this.#count}`,
    ];
  }
}

export class Metrics {
  readonly #requests = new Map<string, number>();
  readonly #firstToken = new Histogram();
  readonly #perToken = new Histogram();
  readonly #duration = new Histogram();
  #promptTokens = 0;
  #newTokens = 0;

  /** A request was answered. @param route as it is declared, so that their number is bounded */
  answered(route: string, status: number, seconds: number): void {
    const key = `route="${route}",status="${status}"`;
    this.#requests.set(key, (this.#requests.get(key) ?? 0) + 1);
    this.#duration.observe(seconds);
  }

  /** A choice ended. */
  generated({
    promptTokens,
    newTokens,
    firstTokenMs,
    decodeMs,
  }: {
    readonly promptTokens: number;
    readonly newTokens: number;
    readonly firstTokenMs: number;
    readonly decodeMs: number;
  }): void {
    this.#promptTokens += promptTokens;
    this.#newTokens += newTokens;
    if (newTokens > 0) this.#firstToken.observe(firstTokenMs / 1000);
    if (newTokens > 1) this.#perToken.observe(decodeMs / (newTokens - 1) / 1000);
  }

  print(stats: BatchStats, bundles: number): string {
    const gauge = (name: string, help: string, value: number): string[] =>
      metric(name, help, "gauge", [`${name} ${value}`]);
    const counter = (name: string, help: string, value: number): string[] =>
      metric(name, help, "counter", [`${name} ${value}`]);
    const histogram = (name: string, help: string, values: Histogram): string[] =>
      metric(name, help, "histogram", values.lines(name));
    const requests = [...this.#requests].map(([labels, count]) => `sluice_requests_total{${labels}} ${count}`);
    const lines = [
      ...metric("sluice_requests_total", "Requests by route and status.", "counter", requests),
      ...gauge("sluice_queue_length", "Requests that wait for a sequence.", stats.waiting),
      ...gauge("sluice_batch_running", "Sequences that a request has.", stats.running),
      ...gauge("sluice_batch_sequences", "Sequences there are.", stats.sequences),
      ...gauge("sluice_kv_slots", "Places of the KV cache.", stats.slots),
      ...gauge("sluice_kv_slots_used", "Places in use, also for prefixes of ended requests.", stats.slots_used),
      ...gauge("sluice_kv_tokens_cached", "Tokens of ended requests that are cached.", stats.cached_tokens),
      ...gauge("sluice_bundles", "Bundles that requests can name.", bundles),
      ...counter("sluice_steps_total", "Steps of the batch.", stats.steps),
      ...counter("sluice_rows_total", "Rows of all steps.", stats.rows),
      ...counter("sluice_prompt_tokens_total", "Prompt tokens of ended choices.", this.#promptTokens),
      ...counter("sluice_prompt_tokens_computed_total", "Prompt tokens that the batch computed.", stats.prefill_tokens),
      ...counter("sluice_prompt_tokens_reused_total", "Prompt tokens that were cached.", stats.reused_tokens),
      ...counter("sluice_new_tokens_total", "New tokens of ended choices.", this.#newTokens),
      ...histogram("sluice_time_to_first_token_seconds", "From the request to its first token.", this.#firstToken),
      ...histogram("sluice_time_per_token_seconds", "Mean time per token after the first.", this.#perToken),
      ...histogram("sluice_request_seconds", "From the request to the end of its answer.", this.#duration),
    ];
    return `${lines.join("\n")}\n`;
  }
}

function metric(name: string, help: string, type: string, lines: readonly string[]): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines];
}
