/** Which Vulkan drivers this machine has, by the files in which they describe themselves. */
import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

/** Where the Vulkan loader looks on Linux, as far as drivers in practice use it. */
function driverFolders(): readonly string[] {
  const data = process.env.XDG_DATA_HOME || join(homedir(), ".local/share");
  return [data, "/etc", "/usr/local/etc", "/usr/share", "/usr/local/share"].map((folder) =>
    join(folder, "vulkan/icd.d"),
  );
}

/** Folders that were searched, for messages. */
export function searchedFolders(): string {
  return driverFolders().join(", ");
}

/** Driver descriptions that the user named in the environment, or null. */
export function namedDrivers(): readonly string[] | null {
  const named = process.env.VK_DRIVER_FILES || process.env.VK_ICD_FILENAMES;
  return named ? named.split(delimiter).filter((path) => path !== "") : null;
}

/** Driver descriptions of the system. */
export function systemDrivers(): readonly string[] {
  return driverFolders().flatMap((folder) =>
    existsSync(folder)
      ? readdirSync(folder)
          .filter((file) => file.endsWith(".json"))
          .sort()
          .map((file) => join(folder, file))
      : [],
  );
}
