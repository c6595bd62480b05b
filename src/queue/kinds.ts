/** Every kind of shard that workers compute. */
import { continued } from "../evaluate/continuations.ts";
import { predicted } from "../evaluate/predictions.ts";
import { measuredCell } from "../evaluate/sweep-cell.ts";
import { edgeGradient, edgeLosses, sourceMeans } from "../fit/edges/edge-shards.ts";
import { divergences } from "../fit/edges/judge.ts";
import { pooledShard } from "../fit/pool.ts";
import { generated } from "../shards/generated.ts";
import type { ShardKind } from "../shards/shards.ts";

const KINDS: readonly ShardKind<never, unknown>[] = [
  pooledShard,
  divergences,
  sourceMeans,
  edgeGradient,
  edgeLosses,
  predicted,
  continued,
  measuredCell,
  generated,
];

/** The kind of that name; undefined if there is none. */
export function kindNamed(name: string): ShardKind<unknown, unknown> | undefined {
  return KINDS.find((kind) => kind.name === name) as ShardKind<unknown, unknown> | undefined;
}
