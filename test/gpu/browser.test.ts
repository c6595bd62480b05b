/** Errors in a page without usable WebGPU. In Node, a fake page. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openAdapter } from "../../src/gpu/browser.ts";
import { refusal } from "../formats/refusal.ts";

const test = suite("browser");
const restore: (() => void)[] = [];

test.after.each(() => {
  for (const undo of restore.splice(0).reverse()) undo();
});

/** Puts a value in the place of a property until the test is over. */
function put(target: object, name: string, value: unknown): void {
  const before = Object.getOwnPropertyDescriptor(target, name);
  Object.defineProperty(target, name, { value, configurable: true, writable: true });
  restore.push(() => {
    if (before) Object.defineProperty(target, name, before);
    else Reflect.deleteProperty(target, name);
  });
}

/** Plays a page whose `navigator.gpu` is this. */
function playPage(gpu: unknown, secure = true): void {
  if (!("navigator" in globalThis)) put(globalThis, "navigator", {});
  if (!("location" in globalThis)) put(globalThis, "location", { origin: "http://example.org" });
  put(globalThis.navigator, "gpu", gpu);
  put(globalThis, "isSecureContext", secure);
}

function adapterCalled(info: Partial<GPUAdapterInfo>): unknown {
  return { requestAdapter: () => Promise.resolve({ info }) };
}

test("a page that is not secure gets that reason", async () => {
  playPage(undefined, false);
  await refusal("no_adapter", () => openAdapter({}), location.origin, "https");
});

test("a browser without WebGPU gets a list of browsers that have it", async () => {
  playPage(undefined);
  await refusal("no_adapter", () => openAdapter({}), "does not offer WebGPU", "Chrome", "Firefox", "Linux");
});

test("a browser without an adapter gets a hint where to look", async () => {
  playPage({ requestAdapter: () => Promise.resolve(null) });
  await refusal("no_adapter", () => openAdapter({ adapter: "auto" }), "no adapter", "chrome://gpu");
});

test("a page cannot choose", async () => {
  playPage(adapterCalled({ vendor: "acme" }));
  await refusal("usage", () => openAdapter({ adapter: "swiftshader" }), "swiftshader", "the browser decides");
});

test("the adapter comes with its name, and software with a notice", async () => {
  const notices: string[] = [];
  const onNotice = (line: string) => notices.push(line);
  playPage(adapterCalled({ vendor: "acme", architecture: "g1", isFallbackAdapter: false }));
  assert.is((await openAdapter({ onNotice })).name, "acme g1");
  assert.equal(notices, []);
  playPage(adapterCalled({ vendor: "google", architecture: "swiftshader" }));
  assert.is((await openAdapter({ onNotice })).name, "google swiftshader");
  assert.is(notices.length, 1);
  assert.match(notices[0] as string, /no GPU.*google swiftshader/);
});

test.run();
