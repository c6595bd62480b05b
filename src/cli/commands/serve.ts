/** `sluice serve` */
import { SluiceError } from "../../errors.ts";
import type { Bundle } from "../../index.ts";
import { defineCommand } from "../command.ts";
import { readTextFile } from "../documents.ts";
import { flag, input, name, optional, type Parser, repeated, wholeNumber, withDefault } from "../options.ts";
import { modelArgument, modelOptions, tuneOptions, withModel } from "./model.ts";

/** A bundle and what requests call it. */
interface NamedBundle {
  readonly name: string;
  readonly path: string;
}

/** `FILE`, named by its stem, or `NAME=FILE`. */
const namedBundle: Parser<NamedBundle> = (given, option) => {
  const [, said, file = given] = /^([A-Za-z0-9][A-Za-z0-9._-]*)=(.+)$/.exec(given) ?? [];
  const stem = file.replace(/^.*[/\\]/, "").replace(/\.safetensors$/, "");
  if (stem === "") throw new SluiceError("usage", `${option}: "${given}" does not name a file`);
  return { name: said ?? stem, path: file };
};

export const serve = defineCommand({
  name: "serve",
  summary: "Answer requests over HTTP, by OpenAI's interface",
  description: [
    "Serves /v1/models, /v1/completions and /v1/chat/completions, /health and /metrics. Requests run together in one batch, " +
      "each with its own sampling and its own interventions: a request names bundles in its field `interventions`, and " +
      "without it the model runs plain.",
    "Only this machine can reach it unless --host says otherwise. Pages of other origins are refused unless --cors names " +
      "them. Ctrl-C or SIGTERM lets requests under way end; a second one does not wait.",
  ],
  positionals: { model: modelArgument },
  options: {
    with: repeated(
      "BUNDLE",
      "A bundle that requests can name by its file's stem; NAME=FILE gives it another name",
      namedBundle,
    ),
    host: withDefault("HOST", "The address to listen at; 0.0.0.0 for every network", name, "127.0.0.1"),
    port: withDefault("N", "The port to listen at; 0 for any that is free", wholeNumber(0), 8000),
    sequences: withDefault("N", "Requests that run at once; further ones wait", wholeNumber(1), 16),
    context: optional(
      "N",
      "Tokens per request, prompt and answer (default: the model's, at most 2048)",
      wholeNumber(1),
    ),
    apiKeyFile: input(optional("FILE", "Answer only those who send one of the keys in this file, one per line", name)),
    cors: repeated("ORIGIN", "Let pages of this origin use the server, such as https://example.org; * for any", name),
    allowUploads: flag("Let clients register and delete bundles: PUT and DELETE /v1/bundles/NAME"),
    ...modelOptions,
    ...tuneOptions,
  },
  examples: [
    { line: "serve path/to/model", shows: "Serve a model at http://127.0.0.1:8000:" },
    {
      line: "serve path/to/model --with calm.safetensors --port 9000",
      shows: "With a bundle that requests can name `calm`:",
    },
  ],
  check({ port }) {
    if (port > 65535) throw new SluiceError("usage", `--port takes a number up to 65535, not ${port}`);
  },
  async run(values, context) {
    const { library, signal, stdout } = context;
    const bundles = new Map<string, Bundle>();
    for (const { name: called, path } of values.with) {
      if (bundles.has(called)) {
        throw new SluiceError("usage", `two bundles are named "${called}"`, {
          hint: "Name one of them: --with NAME=FILE",
        });
      }
      bundles.set(called, await library.loadBundle(path, { signal }));
    }
    const keys = values.apiKeyFile === undefined ? undefined : await readTextFile(values.apiKeyFile, signal);
    await withModel({ ...values, long: true }, context, async (model) => {
      const { host, port, sequences, cors: origins, allowUploads } = values;
      const server = await library.serve(model, {
        ...{ name: values.model, host, port, sequences, context: values.context, bundles, keys, origins, allowUploads },
        signal,
        onFault: (error) => context.note(error instanceof Error ? (error.stack ?? error.message) : String(error)),
      });
      context.progress.clear();
      try {
        stdout.write(`listening at ${server.address} (${server.sequences} sequences of ${server.context} tokens)\n`);
        await stdout.flush();
        await context.untilShutdown();
        context.note("requests under way end; a second signal does not wait for them");
      } finally {
        await server.drain();
      }
    });
  },
});
