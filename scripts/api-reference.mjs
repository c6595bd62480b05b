// Makes the API reference from the doc comments of what src/index.ts exports: api-reference/, which git ignores because it
// is generated, large, and always that of the checkout. Ends with exit code 1 if typedoc warns of anything (a type that
// is named and not exported, a link that leads nowhere) or if an export, a method or an option has no doc comment.
//
//   npm run docs:api              writes api-reference/index.html
//   npm run docs:api -- --check   writes nothing
//
// typedoc reads TypeScript by the compiler's JavaScript interface, which TypeScript 7 no longer has. So it is given the
// older compiler that the package tests keep for applications with old compilers. That one only parses: what it needs is
// in tsconfig.api.json, and `npm run typecheck` finds errors in a tenth of its time.
import { register } from "node:module";

const olderCompiler = `export const resolve = (specifier, context, next) =>
  next(specifier === "typescript" ? "typescript-5.7" : specifier, context);`;
register(`data:text/javascript,${encodeURIComponent(olderCompiler)}`);
const { Application, ReflectionKind, TSConfigReader, TypeDocReader } = await import("typedoc");

/** The kinds of names that callers read or write. */
const named = [
  ...["Class", "Interface", "TypeAlias", "Variable", "Function"],
  ...["Constructor", "Method", "Property", "Accessor"],
].map((kind) => ReflectionKind[kind]);

const app = await Application.bootstrapWithPlugins({}, [new TypeDocReader(), new TSConfigReader()]);
const project = await app.convert();
if (!project) process.exit(1);
app.validate(project);
const bare = project.getReflectionsByKind(ReflectionKind.All).filter(isBare);
for (const reflection of bare) console.error(`${reflection.getFriendlyFullName()} has no doc comment`);
if (!process.argv.includes("--check")) await app.generateOutputs(project);
console.log(`${project.children?.length ?? 0} exports, ${bare.length} names without a doc comment`);
process.exitCode = bare.length > 0 || app.logger.hasErrors() || app.logger.hasWarnings() ? 1 : 0;

/**
 * Whether a name that a caller reads or writes has no doc comment. The fields of an object that is written out inside
 * of another type are described there.
 * @param {import("typedoc").Reflection} reflection
 */
function isBare(reflection) {
  if (!reflection.kindOf(named) || reflection.parent?.kindOf(ReflectionKind.TypeLiteral)) return false;
  // Declared by the platform, such as Error's message.
  if (reflection.flags.isExternal) return false;
  const typed = reflection.type?.type === "reflection" ? (reflection.type.declaration.signatures ?? []) : [];
  const signatures = [...(reflection.signatures ?? []), ...(reflection.getSignature ? [reflection.getSignature] : [])];
  return !reflection.hasComment() && ![...signatures, ...typed].some((signature) => signature.hasComment());
}
