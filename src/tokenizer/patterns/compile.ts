/** A pattern's tree, compiled for the machine. */
import { Analysis, type Start, then, UNKNOWN } from "./analysis.ts";
import type { CodeSet } from "./code-set.ts";
import { Cursor } from "./cursor.ts";
import type { Node } from "./node.ts";
import { assertions, op, type Program, UNBOUNDED } from "./program.ts";

const MAX_CODE = 200_000;
const MAX_SETS = 1000;
/** Bounds the time of compiling: counted repetitions of groups are copies. */
const MAX_NODES = 200_000;

type Of<Kind extends Node["kind"]> = Extract<Node, { kind: Kind }>;

/** @throws SluiceError `bad_file` if the program would be too large */
export function compile(source: string, tree: Node): Program {
  const compiler = new Compiler(source);
  compiler.emit(tree, UNKNOWN);
  return compiler.finish(tree);
}

class Compiler {
  readonly #source: string;
  readonly #analysis = new Analysis();
  readonly #code: number[] = [];
  readonly #sets = new Map<CodeSet, number>();
  #registers = 1;
  #nodes = 0;
  #rememberable = true;

  constructor(source: string) {
    this.#source = source;
  }

  finish(tree: Node): Program {
    this.#add(op.accept);
    const { set, empty } = this.#analysis.start(tree);
    const sets = [...this.#sets.keys()];
    return {
      source: this.#source,
      code: Int32Array.from(this.#code),
      sets,
      low: sets.map((each) => each.plane(0)),
      registers: this.#registers,
      first: empty ? undefined : set,
      rememberable: this.#rememberable,
    };
  }

  /** @param next how the code after the node can begin */
  emit(node: Node, next: Start): void {
    this.#nodes++;
    if (this.#code.length > MAX_CODE || this.#nodes > MAX_NODES || this.#sets.size > MAX_SETS) {
      new Cursor(this.#source).fail("it repeats too much");
    }
    switch (node.kind) {
      case "set":
        if (node.code === undefined) this.#add(op.set, this.#set(node.set));
        else this.#add(op.char, node.code);
        break;
      case "sequence":
        this.#sequence(node, next);
        break;
      case "choice":
        this.#choice(node, next);
        break;
      case "repeat":
        if (node.body.kind === "set") this.#run(node, node.body, next);
        else if (node.mode === "possessive") this.#atomic({ ...node, mode: "greedy" });
        else this.#repeat(node, next);
        break;
      case "atomic":
        this.#atomic(node.body);
        break;
      case "look":
        this.#look(node);
        break;
      case "assert":
        if (node.what === "searchStart") this.#rememberable = false;
        this.#add(op.assert, assertions.indexOf(node.what));
        break;
      case "keep":
        this.#add(op.mark, 0);
        break;
    }
  }

  #sequence({ items }: Of<"sequence">, next: Start): void {
    const after: Start[] = [];
    items.reduceRight((following, item, index) => {
      after[index] = following;
      return then(this.#analysis.start(item), following);
    }, next);
    items.forEach((item, index) => {
      this.emit(item, after[index] as Start);
    });
  }

  #choice({ options }: Of<"choice">, next: Start): void {
    const toEnd: number[] = [];
    options.forEach((option, index) => {
      const last = index === options.length - 1;
      const toNext = last ? undefined : this.#fork(option);
      this.emit(option, next);
      if (toNext === undefined) return;
      toEnd.push(this.#add(op.jump, 0) + 1);
      this.#land(toNext);
    });
    for (const place of toEnd) this.#land(place);
  }

  /** Tries the code that follows, which is the node, and then a target. Returns where to write the target. */
  #fork(node: Node): number {
    const { set, code, empty } = this.#analysis.start(node);
    if (empty || !set) return this.#add(op.fork, 0) + 1;
    if (code !== undefined) return this.#add(op.forkOnChar, 0, code) + 1;
    return this.#add(op.forkOnSet, 0, this.#set(set)) + 1;
  }

  #run({ min, max, mode }: Of<"repeat">, { set }: Of<"set">, next: Start): void {
    const kind = mode === "greedy" ? op.run : mode === "lazy" ? op.runLazy : op.runPossessive;
    const peek = next.set && !next.empty ? this.#set(next.set) : -1;
    this.#add(kind, this.#set(set), min, max === Infinity ? UNBOUNDED : max, peek);
  }

  #repeat({ body, min, max, mode }: Of<"repeat">, next: Start): void {
    for (let copy = 0; copy < min; copy++) this.emit(body, copy === min - 1 && max === min ? next : UNKNOWN);
    const tryBody = () => (mode === "lazy" ? this.#add(op.forkLazy, 0) + 1 : this.#fork(body));
    const toEnd: number[] = [];
    // A lazy fork goes to the end first, and to the body, which follows it, if that fails.
    if (max === Infinity) {
      const loop = this.#code.length;
      toEnd.push(tryBody());
      const register = this.#analysis.width(body).min === 0 ? this.#registers++ : undefined;
      if (register !== undefined) this.#add(op.mark, register);
      this.emit(body, UNKNOWN);
      if (register !== undefined) toEnd.push(this.#add(op.exitIfStill, register, 0) + 2);
      this.#add(op.jump, loop);
    } else {
      for (let copy = min; copy < max; copy++) {
        toEnd.push(tryBody());
        this.emit(body, UNKNOWN);
      }
    }
    for (const place of toEnd) this.#land(place);
  }

  #atomic(body: Node): void {
    const start = this.#add(op.atomic, 0);
    this.#body(body);
    this.#land(start + 1);
  }

  #look({ body, behind, negative }: Of<"look">): void {
    const not = negative ? 1 : 0;
    if (body.kind === "set") {
      this.#add(behind ? op.behindSet : op.aheadSet, this.#set(body.set), not);
      return;
    }
    const { min, max } = this.#analysis.width(body);
    const bound = Math.min(max, UNBOUNDED);
    const start = behind ? this.#add(op.behind, 0, not, Math.min(min, UNBOUNDED), bound) : this.#add(op.ahead, 0, not);
    this.#body(body);
    this.#land(start + 1);
  }

  #body(body: Node): void {
    this.emit(body, UNKNOWN);
    this.#add(op.accept);
  }

  /** Returns the position of the instruction. */
  #add(...instruction: number[]): number {
    return this.#code.push(...instruction) - instruction.length;
  }

  /** Writes the present end of the code as a target. */
  #land(place: number): void {
    this.#code[place] = this.#code.length;
  }

  #set(set: CodeSet): number {
    let index = this.#sets.get(set);
    if (index === undefined) {
      index = this.#sets.size;
      this.#sets.set(set, index);
    }
    return index;
  }
}
