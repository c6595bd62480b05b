/** The real library behind the commands, imported when one first needs it. */
import type { Model } from "../index.ts";
import type { Library, LoadedModel } from "./context.ts";

export const library: Library = {
  async load(source, options) {
    const { load } = await import("../index.ts");
    return (await load(source, options)) as Model & Pick<LoadedModel, "session">;
  },
  async info(options) {
    const { formatInfo, gatherInfo } = await import("../gpu/node-info.ts");
    const data = await gatherInfo(options);
    return { data, text: formatInfo(data) };
  },
};
