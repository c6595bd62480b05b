/**
 * The Firefox that tests open pages in, on request: one that the system has, 141 or later, with a Vulkan driver of the
 * system's (its processes find the one that VK_DRIVER_FILES names). No package carries it as one carries Chromium.
 */
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Tried in order, unless FIREFOX names one. */
const NAMES = ["firefox", "firefox-esr", "/Applications/Firefox.app/Contents/MacOS/firefox"];

const PREFERENCES = {
  // Off in some releases on some systems; drivers that compute on the CPU are on the blocklist.
  "dom.webgpu.enabled": true,
  "gfx.webgpu.ignore-blocklist": true,
  // A test may keep the page busy.
  "dom.max_script_run_time": 0,
  "browser.shell.checkDefaultBrowser": false,
  "datareporting.policy.dataSubmissionEnabled": false,
};

export interface Firefox {
  /** Ends the browser and removes what it wrote. */
  close(): Promise<void>;
}

/**
 * Opens a page in a headless Firefox with a profile of its own.
 * @param onEnd hears why the browser ended, unless it was closed
 */
export async function openFirefox(url: string, onEnd: (reason: string) => void): Promise<Firefox> {
  const profile = await mkdtemp(join(tmpdir(), "sluice-firefox-"));
  const lines = Object.entries(PREFERENCES).map(([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});\n`);
  await writeFile(join(profile, "user.js"), lines.join(""));
  const args = ["--headless", "--no-remote", "--profile", profile, url];
  // It insists that the home folder is its user's, which it is not where root runs things for somebody else.
  const env = { ...process.env, HOME: profile };
  for (const name of process.env.FIREFOX ? [process.env.FIREFOX] : NAMES) {
    const child = spawn(name, args, { stdio: "ignore", env });
    const started = await new Promise<boolean>((resolve) => {
      child.once("spawn", () => resolve(true));
      child.once("error", () => resolve(false));
    });
    if (!started) continue;
    let closing = false;
    const closed = new Promise<void>((resolve) => {
      child.once("close", (code, signal) => {
        if (!closing) onEnd(`Firefox ended with ${signal ?? `exit code ${code}`}.`);
        resolve();
      });
    });
    return {
      close: async () => {
        closing = true;
        child.kill();
        await closed;
        // Its helpers may still write while they end.
        await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
      },
    };
  }
  await rm(profile, { recursive: true });
  throw new Error(`There is no Firefox: tried ${NAMES.join(", ")}; FIREFOX can name another`);
}
