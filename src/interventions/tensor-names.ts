/** Names of a bundle's tensors that belong to one layer of a stage: `ID.LAYER.NAME`. */

export interface LayerTensor {
  /** Of the stage; no dots, as ids in a file have none. */
  readonly id: string;
  readonly layer: number;
  readonly name: string;
}

export function layerTensorName(id: string, layer: number, name: string): string {
  return `${id}.${layer}.${name}`;
}

/** What a tensor's name says; null for one that belongs to no layer, such as `ID.mask`. */
export function layerTensorNamed(tensor: string): LayerTensor | null {
  const [id = "", layer = "", name, ...rest] = tensor.split(".");
  if (name === undefined || rest.length > 0 || !/^\d+$/.test(layer)) return null;
  return { id, layer: Number(layer), name };
}
