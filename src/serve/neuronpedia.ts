/**
 * Neuronpedia's requests for steering, where they mean exactly what the engine does: `POST /api/steer` of neuronpedia.org
 * and `POST /v1/steer/completion` of its inference server (https://github.com/hijohnnylin/neuronpedia). Features are
 * registered bundles named `LAYER-INDEX`, such as `6-res-jb-10200`; vectors come with the request. The prompt begins with BOS,
 * and the texts with the prompt, as they do there.
 */
import { fields, needed } from "../arguments/fields.ts";
import { isOptions, listOf } from "../arguments/lists.ts";
import { Place } from "../arguments/place.ts";
import { test } from "../arguments/rule.ts";
import { finite, flag, oneOf, text, whole } from "../arguments/rules.ts";
import { type Bundle, type GenerateOptions, importBundle } from "../index.ts";
import { RequestEnd, runAll } from "./answering.ts";
import type { Intervention } from "./interventions.ts";
import { seedOf } from "./options.ts";
import { Problem } from "./problem.ts";
import type { Service } from "./service.ts";
import { answerStream, type Events } from "./streaming.ts";

interface Feature {
  readonly modelId?: string;
  readonly model?: string;
  readonly layer?: string;
  readonly source?: string;
  readonly index: number;
  readonly strength: number;
}

const kinds = ["STEERED", "DEFAULT"] as const;
type Kind = (typeof kinds)[number];

interface Steering {
  readonly prompt: string;
  readonly modelId?: string;
  readonly model?: string;
  readonly features?: readonly Feature[];
  readonly vectors?: readonly Readonly<Record<string, unknown>>[];
  readonly types?: readonly Kind[];
  readonly steer_method?: string;
  readonly normalize_steering?: boolean;
  readonly strength_multiplier?: number;
  readonly n_tokens?: number;
  readonly n_completion_tokens?: number;
  readonly temperature?: number;
  readonly freq_penalty?: number;
  readonly seed?: number;
  readonly stream?: boolean;
  readonly n_logprobs?: number;
}

const count = whole({ least: 1 });
const rule = fields<Steering>("a JSON object")({
  prompt: needed(text),
  modelId: text,
  model: text,
  features: listOf(
    fields<Feature>("a feature { modelId, layer, index, strength }")({
      ...{ modelId: text, model: text, layer: text, source: text },
      index: needed(whole({ least: 0 })),
      strength: needed(finite()),
    }),
    { least: 1, most: 64 },
  ),
  vectors: listOf(test<Readonly<Record<string, unknown>>>("a vector { steering_vector, strength, hook }", isOptions), {
    ...{ least: 1, most: 64 },
  }),
  types: listOf(oneOf(kinds), { least: 1, most: 2 }),
  steer_method: text,
  normalize_steering: flag,
  strength_multiplier: finite(),
  n_tokens: count,
  n_completion_tokens: count,
  temperature: finite({ least: 0 }),
  freq_penalty: finite(),
  seed: test<number>("a whole number", Number.isInteger),
  stream: flag,
  n_logprobs: whole({ least: 0 }),
});

/** The texts of a request so far, by their kinds. */
type Outputs = readonly { readonly type: Kind; readonly output: string }[];

/** Answers a request. @param shape what an answer says of its texts; of a kind that has not begun, the text is empty */
export async function steer(
  service: Service,
  given: unknown,
  client: AbortSignal,
  shape: (outputs: Outputs) => object,
): Promise<Response> {
  const { engine, metrics, tokenizer } = service;
  if (!isOptions(given)) throw new Problem(400, "The body must be a JSON object", { code: "bad_json" });
  const present = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null));
  const body = rule.read(present as never, new Place("steer", "options"));
  refuseInexact(body);
  service.checkModel(body.modelId ?? body.model);
  const { types = kinds, prompt, seed, temperature = 1 } = body;
  const edit = body.vectors ? await vectorsOf(service, body) : featuresOf(service, body);
  const tokens = [...service.encode(prompt, "The prompt", "prompt")];
  const { bosTokenId } = tokenizer;
  if (bosTokenId !== undefined && tokens[0] !== bosTokenId) tokens.unshift(bosTokenId);
  const end = new RequestEnd(client, service.limits.answerMs);
  const options: GenerateOptions = {
    temperature,
    ...(seed !== undefined && { seed: seedOf(seed, 0) }),
    stopTokens: engine.model.config.eos_token_ids,
    maxNewTokens: body.n_tokens ?? body.n_completion_tokens ?? 16,
    signal: end.signal,
  };
  const choices = end.begin(() =>
    types.map((type) => {
      if (type === "DEFAULT") return engine.generate(tokens, options, []);
      return "bundle" in edit
        ? engine.generateWith(tokens, options, edit.bundle)
        : engine.generate(tokens, options, edit.interventions);
    }),
  );
  if (body.stream) {
    const texts = types.map(() => "");
    const tell = async (events: Events): Promise<void> => {
      await runAll(choices, metrics, end, {
        onToken(index, { text }) {
          texts[index] = (texts[index] || prompt) + (text ?? "");
          events.send(shape(types.map((type, i) => ({ type, output: texts[i] ?? "" }))));
        },
        onEnd: () => undefined,
      });
    };
    return answerStream(end, service.limits, tell, null);
  }
  const results = await runAll(choices, metrics, end).finally(() => end.end());
  const outputs = results.map(({ text }, i) => ({ type: types[i] as Kind, output: prompt + (text ?? "") }));
  return Response.json(shape(outputs));
}

/** What is computed in another way there than here. */
function refuseInexact(body: Steering): void {
  const refuse = (param: keyof Steering, why: string): never => {
    throw new Problem(400, `${param}: ${why}`, { code: "unsupported_field", param });
  };
  if ((body.features === undefined) === (body.vectors === undefined)) {
    refuse("features", "a request has either features or vectors");
  }
  if (body.freq_penalty) {
    refuse("freq_penalty", "it counts the prompt there; /v1/completions has frequency_penalty, which does not");
  }
  if (body.n_logprobs) refuse("n_logprobs", "/v1/completions has log probabilities");
  if (body.features && (body.steer_method ?? "SIMPLE_ADDITIVE") !== "SIMPLE_ADDITIVE") {
    refuse("steer_method", "the vector of a feature is added: SIMPLE_ADDITIVE");
  }
  if (body.features && body.normalize_steering) refuse("normalize_steering", "a registered bundle has its own length");
}

function featuresOf(
  service: Service,
  { features = [], strength_multiplier = 1 }: Steering,
): { readonly interventions: readonly Intervention[] } {
  const { bundles } = service.engine;
  return {
    interventions: features.map(({ modelId, model = modelId, layer, source = layer, index, strength }, i) => {
      service.checkModel(model);
      const bundle = `${source}-${index}`;
      if (!bundles.names.includes(bundle)) {
        throw new Problem(
          400,
          `There is no bundle "${bundle.slice(0, 128)}": register the feature's vector by this name`,
          {
            code: "unknown_bundle",
            param: `features[${i}]`,
          },
        );
      }
      const { stages } = bundles.get({ bundle }, i).manifest;
      const added = stages.every((stage) => stage.kind === "affine" && stage.method === "addition");
      if (!added) {
        throw new Problem(400, `The bundle "${bundle}" does more than add a vector`, { param: `features[${i}]` });
      }
      const factor = strength * strength_multiplier;
      return { bundle, stages: new Map(stages.map(({ id, strength: own = 1 }) => [id, { strength: own * factor }])) };
    }),
  };
}

/** The vectors of a request, as `importBundle` reads them from a file of Neuronpedia's. */
async function vectorsOf({ engine }: Service, body: Steering): Promise<{ readonly bundle: Bundle }> {
  const { vectors, steer_method, normalize_steering, strength_multiplier } = body;
  const file = JSON.stringify({ vectors, steer_method, normalize_steering, strength_multiplier });
  const files = { "vectors.json": new TextEncoder().encode(file) };
  return { bundle: await importBundle(files, "vectors.json", engine.model.config) };
}
