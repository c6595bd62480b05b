/**
 * Rules for linked shaders: what every WebGPU device must grant, and what compilers for GPUs make slow or cannot do.
 *
 * Two of them ask where a value comes from. "Data" is what was read from a storage buffer, and whatever was computed from
 * it, across assignments, calls and returns. A loop over data, or a barrier behind a condition on data, may be meant: a
 * comment before the loop or condition that begins with "by data:" says why. So does "in memory:" before a module's
 * private array.
 */
import { type Control, type ScannedShader, type ShaderFunction, scan, type Token } from "./scan.ts";

export interface Finding {
  readonly rule: "workgroup-memory" | "storage-buffers" | "private-array" | "loop-bound" | "barrier" | "return";
  readonly line: number;
  readonly text: string;
}

const WORKGROUP_BYTES = 16384;
const STORAGE_BUFFERS = 8;
const BARRIERS = new Set(["workgroupBarrier", "storageBarrier"]);

/** What is wrong with a shader's text; nothing, if it is as it should be. */
export function lintShader(code: string): readonly Finding[] {
  const shader = scan(code);
  const data = new DataFlow(shader);
  return [
    ...workgroupMemory(shader),
    ...storageBuffers(shader),
    ...shader.functions.flatMap((fn) => [
      ...privateArrays(shader, fn),
      ...loopBounds(shader, fn, data),
      ...barriers(shader, fn, data),
      ...finalLoop(shader, fn),
    ]),
  ];
}

function workgroupMemory(shader: ScannedShader): Finding[] {
  const own = shader.variables.filter(({ space }) => space === "workgroup");
  let bytes = 0;
  for (const { type, name, line } of own) {
    const layout = layoutOf(type, shader);
    if (layout === undefined) {
      return [{ rule: "workgroup-memory", line, text: `the size of ${name} cannot be determined` }];
    }
    bytes += layout.size;
  }
  if (bytes <= WORKGROUP_BYTES) return [];
  const text = `${bytes} bytes of workgroup memory; ${WORKGROUP_BYTES} are granted everywhere`;
  return [{ rule: "workgroup-memory", line: own[0]?.line ?? 0, text }];
}

function storageBuffers({ variables }: ScannedShader): Finding[] {
  const own = variables.filter(({ space }) => space === "storage");
  if (own.length <= STORAGE_BUFFERS) return [];
  const text = `${own.length} storage buffers (${own.map(({ name }) => name).join(", ")}); ${STORAGE_BUFFERS} are granted everywhere`;
  return [{ rule: "storage-buffers", line: own[STORAGE_BUFFERS]?.line ?? 0, text }];
}

/** Arrays of a thread's own that are indexed by a variable within a loop live in memory, not in registers. */
function privateArrays({ tokens, variables, constants }: ScannedShader, fn: ShaderFunction): Finding[] {
  const arrays = new Set([
    ...fn.definitions.filter(({ isArray }) => isArray).map(({ name }) => name),
    ...variables
      .filter(({ space, type, comment }) => {
        return space === "private" && type[0]?.text === "array" && !/\bin memory: \S/i.test(comment);
      })
      .map(({ name }) => name),
  ]);
  const loops = fn.controls.filter(isLoop);
  const findings: Finding[] = [];
  for (let i = fn.body[0]; i < fn.body[1]; i++) {
    const token = tokens[i] as Token;
    if (!arrays.has(token.text) || tokens[i + 1]?.text !== "[" || !loops.some(({ body }) => within(i, body))) continue;
    const index = tokens[i + 2]?.text ?? "";
    if (tokens[i + 3]?.text === "]" && (/^\d/.test(index) || constants.has(index))) continue;
    findings.push({
      rule: "private-array",
      line: token.line,
      text: `${token.text} is indexed by a variable in a loop`,
    });
  }
  return findings;
}

function loopBounds({ tokens }: ScannedShader, fn: ShaderFunction, data: DataFlow): Finding[] {
  return fn.controls.filter(isLoop).flatMap((loop): Finding[] => {
    const line = tokens[loop.at]?.line ?? 0;
    if (isMeant(loop)) return [];
    if (loop.condition[0] === loop.condition[1]) {
      return [{ rule: "loop-bound", line, text: `a ${loop.kind} without a condition in its header` }];
    }
    const origin = data.originOf(fn, loop.condition, loop.variable);
    if (origin === undefined) return [];
    return [
      { rule: "loop-bound", line, text: `the bound of a loop in ${fn.name} depends on ${origin}, which is data` },
    ];
  });
}

function barriers({ tokens }: ScannedShader, fn: ShaderFunction, data: DataFlow): Finding[] {
  const findings: Finding[] = [];
  for (let i = fn.body[0]; i < fn.body[1]; i++) {
    const token = tokens[i] as Token;
    if (tokens[i + 1]?.text !== "(" || !(BARRIERS.has(token.text) || data.waits(token.text))) continue;
    for (const control of fn.controls) {
      if (!within(i, control.body) || isMeant(control)) continue;
      const origin = data.originOf(fn, control.condition, control.variable);
      if (origin === undefined) continue;
      const text = `${token.text} depends on a condition on ${origin}, which is data`;
      findings.push({ rule: "barrier", line: token.line, text });
      break;
    }
  }
  return findings;
}

/**
 * A function with a value does not end in a loop. The standard lets one without an end stand there; Firefox's compiler does
 * not see that nothing comes after it, and refuses the shader.
 */
function finalLoop({ tokens }: ScannedShader, fn: ShaderFunction): Finding[] {
  if (!fn.hasValue) return [];
  const last = fn.controls.find(
    (control) => isLoop(control) && tokens.slice(control.body[1], fn.body[1]).every(({ text }) => text === "}"),
  );
  if (!last) return [];
  const line = tokens[last.at]?.line ?? 0;
  return [{ rule: "return", line, text: `${fn.name} ends in a ${last.kind}, not in a return` }];
}

/** Which names of which functions hold data. */
class DataFlow {
  readonly #shader: ScannedShader;
  readonly #storage: ReadonlySet<string>;
  readonly #tainted: ReadonlyMap<ShaderFunction, Set<string>>;
  readonly #returning = new Set<string>();
  readonly #waiting = new Set<string>();

  constructor(shader: ScannedShader) {
    this.#shader = shader;
    this.#storage = new Set(shader.variables.filter(({ space }) => space === "storage").map(({ name }) => name));
    this.#tainted = new Map(shader.functions.map((fn) => [fn, new Set<string>()]));
    while (this.#spread());
  }

  /** Whether a function has a barrier, or calls one that has. */
  waits(name: string): boolean {
    return this.#waiting.has(name);
  }

  /** The first name in an expression that is data, apart from a loop's own variable. */
  originOf(fn: ShaderFunction, [first, end]: readonly [number, number], except?: string): string | undefined {
    const { tokens } = this.#shader;
    for (let i = first; i < end; i++) {
      const text = tokens[i]?.text ?? "";
      if (tokens[i - 1]?.text === "." || text === except) continue;
      const isCall = tokens[i + 1]?.text === "(";
      if (isCall ? this.#returning.has(text) : this.#storage.has(text) || this.#tainted.get(fn)?.has(text)) return text;
    }
    return undefined;
  }

  /** One round over all functions; returns whether anything became known. */
  #spread(): boolean {
    const { tokens, functions } = this.#shader;
    const before = this.#size();
    for (const fn of functions) {
      const tainted = this.#tainted.get(fn) as Set<string>;
      for (const { name, value } of fn.definitions) if (this.originOf(fn, value) !== undefined) tainted.add(name);
      for (let i = fn.body[0]; i < fn.body[1]; i++) {
        const text = tokens[i]?.text ?? "";
        if (text === "return" && this.originOf(fn, [i, this.#end(i)]) !== undefined) this.#returning.add(fn.name);
        if (tokens[i + 1]?.text !== "(") continue;
        if (BARRIERS.has(text) || this.#waiting.has(text)) this.#waiting.add(fn.name);
        const called = functions.find(({ name }) => name === text);
        if (called) this.#pass(fn, i + 1, called);
      }
    }
    return this.#size() > before;
  }

  #pass(fn: ShaderFunction, open: number, called: ShaderFunction): void {
    const { tokens } = this.#shader;
    let depth = 0;
    let from = open + 1;
    let place = 0;
    for (let i = open; i < fn.body[1]; i++) {
      const text = tokens[i]?.text ?? "";
      if ("([".includes(text)) depth++;
      else if (")]".includes(text)) depth--;
      if (depth === 0 || (depth === 1 && text === ",")) {
        const param = called.params[place++];
        if (param !== undefined && this.originOf(fn, [from, i]) !== undefined) this.#tainted.get(called)?.add(param);
        from = i + 1;
      }
      if (depth === 0) return;
    }
  }

  #end(at: number): number {
    let i = at;
    while (i < this.#shader.tokens.length && this.#shader.tokens[i]?.text !== ";") i++;
    return i;
  }

  #size(): number {
    let size = this.#returning.size + this.#waiting.size;
    for (const names of this.#tainted.values()) size += names.size;
    return size;
  }
}

interface Layout {
  readonly size: number;
  readonly align: number;
}

const SCALARS: Readonly<Record<string, number>> = { f32: 4, u32: 4, i32: 4, bool: 4, f16: 2, atomic: 4 };

/** Bytes of a type, and what its place must be a multiple of; undefined if that cannot be determined. */
function layoutOf(type: readonly Token[], shader: ScannedShader): Layout | undefined {
  const [name = "", , element = ""] = type.map(({ text }) => text);
  const scalar = SCALARS[name];
  if (scalar !== undefined) return { size: scalar, align: scalar };
  const vector = /^vec([234])([fuih]?)$/.exec(name);
  if (vector) {
    const each = vector[2] === "h" || element === "f16" ? 2 : 4;
    const count = Number(vector[1]);
    return { size: each * count, align: each * (count === 3 ? 4 : count) };
  }
  const members = shader.structures.get(name);
  if (members) return structureOf(members, shader);
  if (name !== "array") return undefined;
  const comma = type.findLastIndex(({ text }) => text === ",");
  const last = type.findLastIndex(({ text }) => text === ">");
  const inner = layoutOf(type.slice(2, comma), shader);
  const count = constantOf(type.slice(comma + 1, last), shader);
  if (inner === undefined || count === undefined) return undefined;
  return { size: count * roundUp(inner.size, inner.align), align: inner.align };
}

function structureOf(members: readonly (readonly Token[])[], shader: ScannedShader): Layout | undefined {
  let end = 0;
  let most = 1;
  for (const member of members) {
    const layout = layoutOf(member, shader);
    if (!layout) return undefined;
    end = roundUp(end, layout.align) + layout.size;
    most = Math.max(most, layout.align);
  }
  return { size: roundUp(end, most), align: most };
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

/** A constant expression of whole numbers, or undefined. */
function constantOf(tokens: readonly Token[], { constants }: ScannedShader): number | undefined {
  let at = 0;
  const peek = (): string => tokens[at]?.text ?? "";
  const operand = (): number => {
    const text = tokens[at++]?.text ?? "";
    if (text === "(") {
      const value = sum();
      at++;
      return value;
    }
    if (/^\d/.test(text)) return Number.parseInt(text, 10);
    const named = constants.get(text);
    return named === undefined ? Number.NaN : (constantOf(named, { constants } as ScannedShader) ?? Number.NaN);
  };
  const product = (): number => {
    let value = operand();
    while (["*", "/", "%"].includes(peek())) {
      const operator = tokens[at++]?.text;
      const right = operand();
      value = operator === "*" ? value * right : operator === "/" ? Math.trunc(value / right) : value % right;
    }
    return value;
  };
  const sum = (): number => {
    let value = product();
    while (peek() === "+" || peek() === "-") value = tokens[at++]?.text === "+" ? value + product() : value - product();
    return value;
  };
  const value = sum();
  return Number.isNaN(value) || at < tokens.length ? undefined : value;
}

function isLoop({ kind }: Control): boolean {
  return kind === "for" || kind === "while" || kind === "loop";
}

function isMeant({ comment }: Control): boolean {
  return /\bby data: \S/i.test(comment);
}

function within(index: number, [first, end]: readonly [number, number]): boolean {
  return first <= index && index < end;
}
