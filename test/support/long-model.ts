/** Random models whose texts may be longer than a step. */
import type { LoadOptions, Model } from "../../src/index.ts";
import { openRandomModel } from "../reference/random-models.ts";
import { load } from "./load.ts";

/** A random model of Llama's family for texts of up to 640 tokens, and its files. */
export async function longModel(seed: number, options: LoadOptions): Promise<{ model: Model; files: File[] }> {
  const { files } = await openRandomModel(seed);
  const [config, weights] = files as [File, File];
  const longer = { ...JSON.parse(await config.text()), max_position_embeddings: 640 };
  const changed = [new File([JSON.stringify(longer)], "config.json"), weights];
  return { model: await load(changed, options), files: changed };
}
