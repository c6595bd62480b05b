// Makes the API reference from the doc comments: npm run docs:api writes docs/api/, which git ignores.
//
// typedoc reads TypeScript by the compiler's JavaScript interface, which TypeScript 7 no longer has. So it is given the
// older compiler that the package tests keep for applications with old compilers.
import { register } from "node:module";

const hook = `export const resolve = (specifier, context, next) =>
  next(specifier === "typescript" ? "typescript-5.7" : specifier, context);`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);

const { Application, TSConfigReader, TypeDocReader } = await import("typedoc");
const app = await Application.bootstrapWithPlugins({}, [new TypeDocReader(), new TSConfigReader()]);
const project = await app.convert();
if (project) {
  app.validate(project);
  await app.generateOutputs(project);
}
process.exitCode = app.logger.hasErrors() || app.logger.hasWarnings() ? 1 : 0;
