/** The model that a worker opened last: shards of one job, and of the next about the same model, find it open. */
import type { Model } from "../model/model.ts";
import { Kept } from "../shards/kept.ts";
import type { JobModel } from "./messages.ts";

/** Opens a model. @throws SluiceError as `load`, and `bad_weights` for other weights than the job's */
export type OpenModel = (about: JobModel) => Promise<Model>;

export class KeptModel {
  readonly #open: OpenModel;
  #kept: { readonly key: string; readonly model: Promise<Model>; readonly left: Kept } | undefined;
  #users = 0;
  /** Woken when nobody uses the kept model. */
  #waiting: (() => void)[] = [];

  constructor(open: OpenModel) {
    this.#open = open;
  }

  /**
   * Calls `use` with the model, and with what earlier shards left for it; another model is opened once nobody uses the one
   * before.
   */
  async with<Result>(about: JobModel, use: (model: Model, left: Kept) => Promise<Result>): Promise<Result> {
    const key = JSON.stringify(about);
    while (this.#kept?.key !== key) {
      if (this.#users > 0) {
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
        continue;
      }
      await this.dispose();
      this.#kept ??= { key, model: this.#open(about), left: new Kept() };
    }
    const { model, left } = this.#kept;
    this.#users++;
    try {
      return await use(await model, left);
    } catch (error) {
      // Whatever failed, such as a lost device, the next shard begins with a model of its own.
      if (this.#kept?.model === model && this.#users === 1) await this.dispose();
      throw error;
    } finally {
      this.#users--;
      if (this.#users === 0) for (const wake of this.#waiting.splice(0)) wake();
    }
  }

  async dispose(): Promise<void> {
    const kept = this.#kept;
    this.#kept = undefined;
    kept?.left.dispose();
    // One that could not be opened has been reported.
    const model = await kept?.model.catch(() => undefined);
    model?.dispose();
  }
}
