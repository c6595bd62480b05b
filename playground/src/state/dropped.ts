/** Files that a user gave: which are a model, which are bundles. */
import { addBundle, bundleFailure } from "./bundles.ts";
import { failureOf } from "./failure.ts";
import { openModel } from "./model.ts";
import { server } from "./server.ts";

/** Opens what was dropped on the page: folders are walked. */
export async function openDropped(data: DataTransfer): Promise<void> {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const files = (await Promise.all(entries.map(filesIn))).flat();
  await openFiles(files.length > 0 ? files : [...data.files]);
}

/** A folder with a config.json or a GGUF file is a model; a single safetensors file a bundle. */
export async function openFiles(files: readonly File[]): Promise<void> {
  const isModel = files.some(({ name }) => name === "config.json" || /\.gguf$/i.test(name));
  if (isModel) {
    const folder = files[0]?.webkitRelativePath.split("/")[0];
    await openModel({ kind: "files", id: folder || files[0]?.name || "files", files });
  } else await addBundleFiles(files);
}

export async function addBundleFiles(files: readonly File[]): Promise<void> {
  bundleFailure.value = null;
  const upload = server.value && (await import("../server/connect.ts")).uploadBundle;
  for (const file of files) {
    if (upload) {
      await upload(file);
      continue;
    }
    try {
      await addBundle(new Uint8Array(await file.arrayBuffer()), file.name, { kind: "file" });
    } catch (error) {
      bundleFailure.value = failureOf(error, file.name);
    }
  }
}

async function filesIn(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) {
    return [await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: File[] = [];
  // A folder is read in parts, until a part is empty.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return files;
    files.push(...(await Promise.all(some.map(filesIn))).flat());
  }
}
