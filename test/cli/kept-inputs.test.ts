/** A command never overwrites its inputs. */
import { link, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { fitNeurons } from "../../src/cli/commands/fit-neurons.ts";
import { logits } from "../../src/cli/commands/logits.ts";
import { profile } from "../../src/cli/commands/profile.ts";
import { keepInputs } from "../../src/cli/kept-inputs.ts";
import { splitArguments } from "../../src/cli/parse-arguments.ts";
import { refusal } from "../formats/refusal.ts";
import { inFolder } from "../support/folder.ts";

const check = (command: typeof logits, ...args: string[]) => keepInputs(command, splitArguments(command, args));

test("a model's own files, under whatever name, are not written over", () =>
  inFolder(async (folder) => {
    const model = join(folder, "model");
    await mkdir(model);
    for (const name of ["config.json", "model-00001-of-00002.safetensors", "tokenizer.json", "notes.safetensors"]) {
      await writeFile(join(model, name), name);
    }
    await symlink(join(model, "config.json"), join(folder, "soft"));
    await link(join(model, "tokenizer.json"), join(folder, "hard"));
    for (const out of ["model/config.json", "model/model-00001-of-00002.safetensors", "soft", "hard"]) {
      const path = join(folder, out);
      await refusal("usage", () => check(logits, model, "Once", "--out", path), `--out ${path}`, "which is an input");
    }
    const adapter = join(folder, "adapter");
    await mkdir(adapter);
    await writeFile(join(adapter, "adapter_model.safetensors"), "x");
    const weights = join(adapter, "adapter_model.safetensors");
    await refusal("usage", () => check(logits, model, "Once", "--adapter", adapter, "--out", weights), "is an input");
    await check(logits, model, "Once", "--out", join(model, "notes.safetensors"));
    await check(logits, model, "Once", "--out", join(folder, "new"));
  }));

test("nor is a text, a probe or a bundle that the line names", () =>
  inFolder(async (folder) => {
    const [texts, probe, other] = ["texts", "probe", "other"].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    for (const path of [texts, probe, other]) await writeFile(path, "x");
    const line = ["m", "--texts", texts, "--probe", probe];
    for (const out of [texts, probe]) await refusal("usage", () => check(fitNeurons, ...line, "--out", out), out);
    await check(fitNeurons, ...line, "--out", other);
    const withBundle = ["m", "a", "--with", `${other}:as=one`, "--out"];
    await refusal("usage", () => check(logits, ...withBundle, other), `overwrite ${other}`);
    assert.is(await check(logits, ...withBundle, texts), undefined);
  }));

test("two outputs of one line are two files", () =>
  inFolder(async (folder) => {
    const out = join(folder, "out");
    const twice = (trace: string, html: string) => check(profile, "m", "x", "--trace", trace, "--html", html);
    await refusal("usage", () => twice(out, join(folder, ".", "out")), "--trace and --html both name");
    await twice(out, join(folder, "other"));
    await twice("/dev/null", "/dev/null");
  }));

test.run();
