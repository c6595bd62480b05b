/** Clients of a measured server, in a process of their own: what they cost is not the server's. Each reads one stream. */
import OpenAI from "openai";

/** What the parent sends: a request per client. */
export interface Volley {
  readonly address: string;
  readonly bodies: readonly object[];
}

/** What it gets back: new tokens in all. */
export interface Landed {
  readonly tokens: number;
}

process.on("message", async ({ address, bodies }: Volley) => {
  const client = new OpenAI({ baseURL: `${address}/v1`, apiKey: "none", maxRetries: 0 });
  const counts = await Promise.all(
    bodies.map(async (body) => {
      const asked = { ...body, stream: true, stream_options: { include_usage: true } };
      let tokens = 0;
      for await (const { usage } of await client.completions.create(asked as never as Streamed)) {
        tokens = usage?.completion_tokens ?? tokens;
      }
      return tokens;
    }),
  );
  process.send?.({ tokens: counts.reduce((sum, count) => sum + count, 0) } satisfies Landed);
});

type Streamed = OpenAI.CompletionCreateParamsStreaming;
