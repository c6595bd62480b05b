/** The npm package `safetensors` ships no types. Node sees its UMD build as a default export, bundlers the names. */
declare module "safetensors" {
  export interface SafeTensor {
    getTensor(name: string): Uint8Array;
    readonly metadata: Map<string, { dtype: string; shape: number[]; data_offsets: number[] }>;
  }
  interface Exports {
    readonly SafeTensor: new (file: Uint8Array) => SafeTensor;
  }
  export const SafeTensor: Exports["SafeTensor"] | undefined;
  const module: Exports | undefined;
  export default module;
}
