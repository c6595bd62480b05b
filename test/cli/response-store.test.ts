/** What an interrupted fit keeps: it continues to the same bits, and files of other inputs are refused. */
import { copyFile, mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Library, LoadedModel } from "../../src/cli/context.ts";
import { FileStore } from "../../src/cli/response-store.ts";
import { SluiceError } from "../../src/errors.ts";
import { type Bundle, fitAura, fitDirection, type Model, type ResponseStore, type Tokenizer } from "../../src/index.ts";
import { writeBundle } from "../../src/interventions/bundle.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { codeOf } from "../support/refusal-code.ts";
import { fakeLibrary, run } from "./fake-world.ts";

async function inFolder(use: (out: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-store-"));
  try {
    await use(join(folder, "out.safetensors"));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Bytes before the first record. */
const HEADER = 304;
/** Two batches a class: 64 sentences go into one. */
const SENTENCES = 80;
const sentences = (seed: number) =>
  Array.from({ length: SENTENCES }, (_, i) =>
    Array.from({ length: 2 + (i % 4) }, (_, j) => (seed + i * 7 + j * 3 + (i >> 3)) % 90),
  );
const classes = { positive: sentences(1), negative: sentences(45) };

interface Going {
  readonly store?: ResponseStore;
  readonly signal?: AbortSignal;
  onProgress?(done: number, total: number, kept: number): void;
}

const fits: Readonly<Record<string, (model: Model, going: Going) => Promise<Bundle>>> = {
  aura: async (model, going) => (await fitAura(model, { ...classes, sites: ["mlp_pre"], ...going })).bundle,
  ace: (model, going) => fitDirection(model, "ace", { ...classes, ...going }),
  // Each layer has the sentences run for it, under the stages of those before.
  leace: (model, going) => fitDirection(model, "leace", { ...classes, layers: [0, 2], ...going }),
};

for (const [name, bundleOf] of Object.entries(fits)) {
  test(`${name}: interrupted, or killed while it wrote, and gone on with: the bits of one that was not`, () =>
    inFolder(async (out) => {
      const model = await load(location("test/golden/gpt2-tiny"), { plan: "reference" });
      const whole = writeBundle(await bundleOf(model, {}));
      const open = () => FileStore.open(out, { name });
      const stop = new AbortController();
      const stopAt = name === "leace" ? 2 * SENTENCES + 100 : SENTENCES + 20;
      const begun = await open();
      const interrupted = begun.during(
        bundleOf(model, { store: begun, signal: stop.signal, onProgress: (done) => done >= stopAt && stop.abort() }),
      );
      assert.is(await codeOf(() => interrupted), "aborted");
      const { path } = await open();
      await copyFile(path, `${path}.kept`);
      const { size } = await stat(path);

      const goOn = async (what: string): Promise<number> => {
        let most = -1;
        const seen: number[] = [];
        const onProgress = (done: number, _: number, kept: number): void => {
          most = kept;
          seen.push(done);
        };
        const store = await open();
        assert.equal(writeBundle(await store.during(bundleOf(model, { store, onProgress }))), whole, what);
        assert.ok((seen[0] ?? 0) <= Math.max(most, 64), `${what}: what was kept is handed out first`);
        return most;
      };
      const kept = await goOn("as it was left");
      assert.ok(kept >= stopAt, `${kept} rows were kept`);
      // In the last record, and in one before it; after the header, in it, and before it, which is the same in every file.
      const inRecords = [
        [kept - 1, size - 1],
        [kept - 3, Math.round(size - (2.5 * (size - HEADER)) / kept)],
      ] as const;
      const inHeader = [HEADER, 33, 0].map((end) => [0, end] as const);
      for (const [left, end] of [...inRecords, ...(name === "aura" ? inHeader : [])]) {
        await copyFile(`${path}.kept`, path);
        await truncate(path, end);
        const taken = await goOn(`cut to ${end} of ${size} bytes`);
        assert.is(taken, left, `cut to ${end} of ${size} bytes`);
      }
      const bytes = await readFile(`${path}.kept`);
      const place = Math.floor(size / 2);
      bytes[place] = (bytes[place] as number) ^ 4;
      await writeFile(path, bytes);
      const taken = await goOn("with a bit turned over in the middle");
      assert.ok(taken > 0 && taken < kept, `${taken} of ${kept} rows stand before it`);
      model.dispose();
    }));
}

test("few modules are held at a time if memory is short, with or without a store, and none that is too large", () =>
  inFolder(async (out) => {
    const model = await load(location("test/golden/gpt2-tiny"), { plan: "reference" });
    const { hidden_size: d, intermediate_size: f, num_hidden_layers: layers } = model.config;
    const bytes = (width: number) => 2 * SENTENCES * width * 4;
    const whole = await fitAura(model, classes);
    for (const heldBytes of [bytes(f + d), bytes(f) / 2]) {
      const totals = new Set<number>();
      const options = { ...classes, heldBytes, onProgress: (_: number, total: number) => totals.add(total) };
      const without = await fitAura(model, options);
      assert.equal(writeBundle(without.bundle), writeBundle(whole.bundle));
      assert.ok(
        [...totals].every((total) => total >= layers * 2 * SENTENCES),
        "the sentences are run again",
      );
      totals.clear();
      const store = await FileStore.open(out, {});
      const withStore = await fitAura(model, { ...options, store });
      assert.equal(writeBundle(withStore.bundle), writeBundle(whole.bundle));
      assert.equal([...totals], [2 * SENTENCES], "the sentences are run once");
      await store.remove();
    }
    assert.is(await codeOf(() => fitAura(model, { ...classes, heldBytes: bytes(f) / 2 - 1 })), "usage");
    assert.is(await codeOf(() => fitAura(model, { ...classes, heldBytes: Number.NaN })), "usage");
    model.dispose();
  }));

test("the file only grows while a fit runs, and goes when it is through", () =>
  inFolder(async (out) => {
    const model = await load(location("test/golden/gpt2-tiny"), { plan: "reference" });
    const store = await FileStore.open(out, {});
    const sizes: Promise<number>[] = [];
    await fits.aura?.(model, { store, onProgress: () => sizes.push(stat(store.path).then(({ size }) => size)) });
    const grown = await Promise.all(sizes);
    assert.equal(
      grown,
      [...grown].sort((a, b) => a - b),
    );
    assert.ok((await FileStore.open(out, {})).isBegun);
    await store.remove();
    assert.not.ok((await FileStore.open(out, {})).isBegun);
    model.dispose();
  }));

test("two runs of one fit at once give one result each, though the first to end removes what both kept", () =>
  inFolder(async (out) => {
    const model = await load(location("test/golden/gpt2-tiny"), { plan: "reference" });
    const whole = writeBundle(await (fits.aura as (typeof fits)[string])(model, {}));
    const run = async (): Promise<void> => {
      const store = await FileStore.open(out, {});
      assert.equal(writeBundle(await store.during((fits.aura as (typeof fits)[string])(model, { store }))), whole);
      await store.remove();
    };
    const first = run();
    await new Promise((resolve) => setTimeout(resolve, 30));
    await Promise.all([first, run()]);
    assert.not.ok((await FileStore.open(out, {})).isBegun);
    model.dispose();
  }));

test("files of fits with other weights, sentences or options are refused, and so are foreign files", () =>
  inFolder(async (out) => {
    const inputs = { model: "digest", sites: ["up"] };
    const parts = [{ rows: 4, width: 3 }];
    const store = await FileStore.open(out, inputs);
    assert.is(await store.begin(parts), 0);
    await store.append([Float32Array.of(1, 2, 3), Float32Array.of(4, Number.NaN, -0)]);
    const again = await FileStore.open(out, inputs);
    assert.is(await again.begin(parts), 2);
    const rows: number[][] = [];
    for await (const batch of again.read(1, 1)) for (const row of batch) rows.push([...row]);
    assert.equal(rows, [[4, Number.NaN, -0]]);
    assert.is(await codeOf(() => FileStore.open(out, { ...inputs, model: "another" })), "usage");
    assert.is(await codeOf(async () => (await FileStore.open(out, inputs)).begin([{ rows: 3, width: 4 }])), "usage");
    await Promise.all([store.close(), again.close()]);
    await writeFile(store.path, "something else");
    assert.is(await codeOf(() => FileStore.open(out, inputs)), "bad_file");
  }));

test("rows that workers of one kind of device measured are not continued by another kind, which is named", () =>
  inFolder(async (out) => {
    const parts = [{ rows: 4, width: 1 }];
    const begun = async (): Promise<FileStore> => {
      const store = await FileStore.open(out, {});
      await store.begin(parts);
      return store;
    };
    const here = { worker: "a", sluice: "1", device: "GPU\u001b[2J", kind: "x" };
    const first = await begun();
    // Nothing was measured yet, so nothing can be mixed.
    await first.measuredBy({ ...here, kind: "z" });
    await first.measuredBy(here);
    await first.append([Float32Array.of(1)]);
    await first.close();
    const second = await begun();
    await second.measuredBy({ ...here, worker: "b" });
    const other = { worker: "c", sluice: "1", device: "CPU", kind: "y" };
    const error = await second.during(second.measuredBy(other)).catch((thrown: unknown) => thrown);
    assert.match((error as Error).message, /was measured by a \(GPU\\u001b\[2J, Sluice 1\), and c \(CPU, Sluice 1\)/);
    assert.is((error as SluiceError).code, "queue");
    // What is kept stays.
    const third = await FileStore.open(out, {});
    assert.is(await third.begin(parts), 1);
    await third.close();
  }));

test("a fit continues only from rows of the same device, config and token ids", () =>
  inFolder(async (out) => {
    const [positive, negative] = [`${out}.positive.txt`, `${out}.negative.txt`];
    for (const path of [positive, negative]) await writeFile(path, "ab\n");
    /** Stopped after its first row, by a model that differs in some of its properties. */
    const interrupted = async (other: Partial<LoadedModel> = {}): Promise<string> => {
      const whole = fakeLibrary();
      const library: Library = {
        ...whole,
        load: async (source, options) => ({ ...(await whole.load(source, options)), ...other }),
        async fitDirection(_model, _method, { store }) {
          const kept = await store?.begin([{ rows: 2, width: 1 }]);
          if (kept === 0) await store?.append([Float32Array.of(1)]);
          throw new SluiceError("gpu", `stopped behind ${kept} rows`);
        },
      };
      const line = ["fit", "ace", "M", "--positive", positive, "--negative", negative, "--out", out];
      return (await run(line, { library })).stderr;
    };
    const { config, device, tokenizer } = await fakeLibrary().load("M", {});
    assert.match(await interrupted(), /stopped behind 0 rows/);
    const foreign = /belongs to a fit of another model or device/;
    assert.match(await interrupted({ device: { ...device, description: "another driver" } }), foreign);
    assert.match(await interrupted({ config: { ...config, norm_eps: 1e-6 } }), foreign);
    const shifted = { ...(tokenizer as Tokenizer), encode: (text: string) => Array.from(text, () => 3) };
    assert.match(await interrupted({ tokenizer: shifted }), foreign);
    assert.match(
      await interrupted({ config: { ...config }, device: { ...device } }),
      /continuing from[\s\S]*stopped behind 1 rows/,
    );
  }));

test.run();
