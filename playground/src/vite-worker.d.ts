/** The address of the worker's script, which Vite builds. */
declare module "sluice/worker/entry?worker&url" {
  const address: string;
  export default address;
}
