/** Random models whose texts may be longer than a step. */
import { openRandomModel } from "../reference/random-models.ts";

/** The files of a random model of Llama's family for texts of up to 640 tokens. */
export async function longFiles(seed: number): Promise<File[]> {
  const { files } = await openRandomModel(seed);
  const [config, weights] = files as [File, File];
  const longer = { ...JSON.parse(await config.text()), max_position_embeddings: 640 };
  return [new File([JSON.stringify(longer)], "config.json"), weights];
}
