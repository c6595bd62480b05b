/** A server on a small model, for tests; with a chat template that shows tools, if wanted. */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import type { Bundle, Model } from "../../src/index.ts";
import { type RunningServer, type ServeOptions, serveModel } from "../../src/serve/node-serve.ts";
import { bundleOf, filled } from "../interventions/model-configs.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";

/** In the manner of Hermes and Qwen. */
const TAGGED = `{% if tools %}Tools:{% for tool in tools %} {{ tool | tojson }}{% endfor %}
{% endif %}{% for message in messages %}<{{ message.role }}>{% if message.content %}{{ message.content }}{% endif %}{% for call in message.tool_calls or [] %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}</s>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}`;

/** In the manner of Llama 3. */
const BARE = `{% if tools %}Tools:{% for tool in tools %} {{ tool | tojson }}{% endfor %}
{% endif %}{% for message in messages %}<{{ message.role }}>{% if message.content %}{{ message.content }}{% endif %}{% for call in message.tool_calls or [] %}{"name": "{{ call.function.name }}", "parameters": {{ call.function.arguments | tojson }}}{% endfor %}</s>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}`;

const TEMPLATES = { plain: undefined, tagged: TAGGED, bare: BARE };

/** stories260K with another chat template, in a folder of its own. */
export async function storiesWith(
  template: keyof typeof TEMPLATES,
): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = join(await mkdtemp(join(tmpdir(), "sluice-serve-")), "stories260K");
  await cp(location("weights/stories260K"), path, { recursive: true });
  const text = TEMPLATES[template];
  if (text !== undefined) {
    const file = join(path, "tokenizer_config.json");
    const config = JSON.parse(await readFile(file, "utf8")) as object;
    await writeFile(file, JSON.stringify({ ...config, chat_template: text }));
  }
  return { path, remove: () => rm(join(path, ".."), { recursive: true }) };
}

export interface OpenServer {
  readonly server: RunningServer;
  readonly model: Model;
  readonly client: OpenAI;
  /** Faults that the server told of. */
  readonly faults: readonly unknown[];
  close(): Promise<void>;
}

/** @param options what differs from the command's defaults */
export async function openServer(
  template: keyof typeof TEMPLATES = "plain",
  options: Partial<ServeOptions> & { readonly key?: string } = {},
): Promise<OpenServer> {
  const folder = await storiesWith(template);
  const model = await load(folder.path, { plan: "reference" });
  const faults: unknown[] = [];
  const { key, ...serving } = options;
  const server = await serveModel(model, {
    ...{ name: folder.path, host: "127.0.0.1", port: 0, sequences: 4, context: 512, origins: [], allowUploads: false },
    bundles: new Map<string, Bundle>(),
    onFault: (error) => faults.push(error),
    ...(key !== undefined && { keys: `${key}\n` }),
    ...serving,
  });
  const client = new OpenAI({ baseURL: `${server.address}/v1`, apiKey: key ?? "none", maxRetries: 0 });
  return {
    server,
    model,
    client,
    faults,
    async close() {
      await server.drain();
      model.dispose();
      await folder.remove();
    },
  };
}

/** Closes the server afterwards. */
export async function withServer(
  options: Parameters<typeof openServer>[1],
  use: (open: OpenServer) => Promise<void>,
  template?: "plain" | "tagged" | "bare",
) {
  const open = await openServer(template, options);
  try {
    await use(open);
  } finally {
    await open.close();
  }
}

/** A bundle for stories260K that pushes the stream of its second layer. */
export async function pushBundle(name: string, strength = 1) {
  const model = await load(location("weights/stories260K"));
  const { config } = model;
  const stage = { id: "push", kind: "affine", method: "addition", site: "resid_post", layers: [1], strength } as const;
  const bundle = bundleOf(config, [stage], { "push.1.direction": filled([config.hidden_size]) });
  model.dispose();
  return { ...bundle, manifest: { ...bundle.manifest, name } };
}
