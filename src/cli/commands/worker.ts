/** `sluice worker` */
import { hostname } from "node:os";
import { SluiceError } from "../../errors.ts";
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { decimal, name, optional, required, wholeNumber, withDefault } from "../options.ts";
import { adapterOption } from "./model.ts";
import { addressOf } from "./queue.ts";

export const worker = defineCommand({
  name: "worker",
  summary: "Compute for others: take shards of fits, evaluations, sweeps and batches from a queue",
  description: [
    "Takes shards that `--queue ADDRESS` on other commands puts into this Redis or Valkey, opens the models that they name, and " +
      "keeps the last one open. Start as many as there are GPUs, on any machines that reach the queue and find the models: by " +
      "the hub's name, or at the same path.",
    "Ctrl-C or SIGTERM finishes the shards under way; a second one does not wait, and another worker repeats them. Whoever " +
      "can write to the queue decides what its workers compute and read: keep it in a network of your own.",
  ],
  positionals: {},
  options: {
    queue: required("ADDRESS", "The Redis or Valkey that holds the queue: redis://HOST:PORT", addressOf),
    name: optional("NAME", "What messages call this worker (default: the host's name and the process's id)", name),
    concurrency: withDefault("N", "Shards to compute at a time, on one model", wholeNumber(1), 1),
    lease: withDefault(
      "SECONDS",
      "Give a shard to another worker if this one shows no sign of life for that long",
      decimal({ min: 1 }),
      30,
    ),
    adapter: adapterOption,
  },
  examples: [{ line: "worker --queue redis://127.0.0.1:6379", shows: "Work for whoever uses this queue:" }],
  async run(values, context) {
    const { library, signal, stdout } = context;
    const { queue: address, name: called = `${hostname()}-${process.pid}`, concurrency, lease, adapter } = values;
    const running = await library.openWorker({
      address,
      name: called,
      concurrency,
      leaseMs: 1000 * lease,
      onNote: (text) => context.note(text),
      async open({ source, weights, lora, plan, quantize }) {
        if (weights !== undefined) {
          const own = await library.weightsDigestOf(source, { signal });
          if (own !== weights) {
            throw new SluiceError(
              "bad_weights",
              `${source} has other weights on the worker ${called} than the job names`,
              {
                hint: "Put the same files there, or name a revision: org/name@revision.",
              },
            );
          }
        }
        return library.load(source, {
          ...defined({ adapter, plan, quantize }),
          ...(lora && lora.length > 0 && { lora }),
          signal,
          onNotice: (text) => context.note(text),
        });
      },
    });
    try {
      stdout.write(`${called} takes shards at ${address.shown}\n`);
      await stdout.flush();
      await context.untilShutdown();
      context.note("the shards under way are finished; a second signal does not wait for them");
    } finally {
      await running.drain();
    }
  },
});
