/** The weights and data that tests read, served to the page: test/support/files.ts for pages. */

export const location: typeof import("../../support/files.ts").location = (path) => new URL(`/${path}`, origin).href;

export const readBytes: typeof import("../../support/files.ts").readBytes = async (path) => {
  const response = await fetch(location(path));
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
};

export async function readText(path: string): Promise<string> {
  return new TextDecoder().decode(await readBytes(path));
}

export async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await readText(path)) as T;
}
