/**
 * Links hand-written shaders: resolves their imports, applies conditions and constants, and returns the
 * plain WGSL that the device compiles. https://wesl-lang.dev
 */
import { SluiceError } from "../errors.ts";

/** Folders of shaders that only instruments use: gradients, pooling, ceilings. Pages load them when they are asked for. */
const instruments = /^(?:backward|ceilings|fit)\//;

export interface ShaderSource {
  /** Path under shaders/ without its ending: `linear/register`. */
  readonly entry: string;
  /** `@if(name)` switches; a name that is missing here is off. */
  readonly conditions?: Readonly<Record<string, boolean>>;
  /** Values for `import constants::{NAME}`: WGSL literals such as `768u`. */
  readonly constants?: Readonly<Record<string, string>>;
  /** Further modules of a few generated lines, by path: `{"sites": "import package::…"}`. */
  readonly modules?: Readonly<Record<string, string>>;
}

/** Kept at most, so that a process that runs for long does not keep every context and model that it ever saw. */
const MOST_LINKED = 1000;

const linked = new Map<string, Promise<string>>();

/** The linked WGSL of a shader. Equal sources are linked once. */
export function linkShader(source: ShaderSource): Promise<string> {
  const key = JSON.stringify(source);
  let result = linked.get(key);
  if (!result) {
    const oldest = linked.size >= MOST_LINKED ? linked.keys().next() : undefined;
    if (oldest && !oldest.done) linked.delete(oldest.value);
    result = linkNow(source);
    linked.set(key, result);
    // A page may have lost its network for a moment.
    result.catch(() => linked.delete(key));
  }
  return result;
}

/** The linker, and what it has parsed of the shaders that lie in one file. */
interface Linker {
  readonly wesl: typeof import("wesl/core");
  readonly shaders: InstanceType<typeof import("wesl/core").RecordResolver>;
}

let linker: Promise<Linker> | undefined;
let instrumentShaders: Promise<Linker["shaders"]> | undefined;

/**
 * Loads the linker and the shaders, which are half of the engine's code: `load` asks for them while the weights come, and
 * a page shows something before they are there. Each shader is parsed once, when it is first linked.
 */
export function openLinker(): Promise<Linker> {
  linker ??= openNow();
  linker.catch(() => {
    linker = undefined;
  });
  return linker;
}

async function openNow(): Promise<Linker> {
  const [wesl, { shaderFiles }] = await Promise.all([import("wesl/core"), import("./shaders.gen.ts")]);
  return { wesl, shaders: resolverOf(wesl, shaderFiles) };
}

async function openInstruments(wesl: Linker["wesl"]): Promise<Linker["shaders"]> {
  return resolverOf(wesl, (await import("./instrument-shaders.gen.ts")).shaderFiles);
}

function resolverOf({ RecordResolver }: Linker["wesl"], files: Readonly<Record<string, string>>): Linker["shaders"] {
  return new RecordResolver(Object.fromEntries(Object.entries(files).map(([path, text]) => [`${path}.wesl`, text])));
}

async function linkNow(source: ShaderSource): Promise<string> {
  const { wesl, shaders } = await openLinker();
  const resolvers = [shaders];
  if (instruments.test(source.entry)) {
    instrumentShaders ??= openInstruments(wesl);
    resolvers.unshift(await instrumentShaders);
  }
  if (source.modules) resolvers.unshift(resolverOf(wesl, source.modules));
  try {
    const result = await wesl.link({
      resolver: wesl.composeResolvers(...resolvers),
      rootModuleName: source.entry,
      conditions: { ...source.conditions },
      constants: { ...source.constants },
      sourceMap: false,
    });
    return result.dest;
  } catch (cause) {
    throw new SluiceError("gpu", `Shader ${source.entry} does not link: ${String(cause)}`, { cause });
  }
}
