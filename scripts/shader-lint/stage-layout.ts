/**
 * Whether the shaders declare and read the structures of the stage table as src/compile/stage-layout.ts lists them: the
 * fields in order with their types, the words that the reading function takes them from, and the numbers of words.
 */
import { stageCodes, stageLayout } from "../../src/compile/stage-layout.ts";

type Fields = Readonly<Record<string, "u32" | "f32">>;

/**
 * What differs, a sentence each.
 * @param shaders text by path under shaders/, without its ending
 */
export function compareStageLayout(shaders: Readonly<Record<string, string>>): readonly string[] {
  const problems: string[] = [];
  const texts = Object.entries(shaders).map(([path, text]) => [path, withoutComments(text)] as const);
  for (const [name, fields] of Object.entries(stageLayout)) {
    const found = texts.find(([, text]) => text.includes(`struct ${name} {`));
    if (!found) {
      problems.push(`no shader declares struct ${name} of src/compile/stage-layout.ts`);
      continue;
    }
    for (const wanted of [structOf(name, fields), readerOf(name, fields)]) {
      if (!found[1].includes(wanted)) problems.push(`shaders/${found[0]}.wgsl should say: ${wanted}`);
    }
  }
  for (const [prefix, words] of Object.entries(stageCodes)) {
    words.forEach((word, code) => {
      const wanted = `const ${prefix}_${word.toUpperCase()} = ${code}u;`;
      if (!texts.some(([, text]) => text.includes(wanted))) problems.push(`no shader says: ${wanted}`);
    });
  }
  return problems;
}

function structOf(name: string, fields: Fields): string {
  const list = Object.entries(fields).map(([field, type]) => `${field}: ${type},`);
  return `struct ${name} { ${list.join(" ")} }`;
}

/** From the vec4 at hand, or from several of the table. */
function readerOf(name: string, fields: Fields): string {
  const types = Object.values(fields);
  const vec4s = Math.ceil(types.length / 4);
  const [argument, locals] =
    vec4s === 1
      ? ["words: vec4u", ["words"]]
      : ["at: u32", Array.from({ length: vec4s }, (_, i) => String.fromCharCode("p".charCodeAt(0) + i))];
  const loads = vec4s === 1 ? [] : locals.map((local, i) => `let ${local} = stages[at${i === 0 ? "" : ` + ${i}u`}];`);
  const words = types.map((type, i) => {
    const word = `${locals[Math.floor(i / 4)]}.${"xyzw"[i % 4]}`;
    return type === "f32" ? `bitcast<f32>(${word})` : word;
  });
  const suffix = vec4s === 1 ? "of" : "at";
  const body = [...loads, `return ${name}(${words.join(", ")});`].join(" ");
  return `fn ${snakeCase(name)}_${suffix}(${argument}) -> ${name} { ${body} }`;
}

function snakeCase(name: string): string {
  return name.replace(/(?<=[a-z])[A-Z]/g, "_$&").toLowerCase();
}

/** One line, with single blanks. */
function withoutComments(text: string): string {
  return text.replace(/\/\/[^\n]*/g, "").replace(/\s+/g, " ");
}
