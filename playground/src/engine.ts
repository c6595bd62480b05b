/** The engine, in its worker: started when the first model is opened, so that a first visit loads the page alone. */

import { type Engine, openEngine, type WorkerModel, type WorkerSession } from "sluice/worker";
import entry from "sluice/worker/entry?worker&url";

export type { Engine, WorkerModel, WorkerSession };

let started: Promise<Engine> | undefined;

/** The one engine of the page. */
export function engine(): Promise<Engine> {
  started ??= start();
  return started;
}

async function start(): Promise<Engine> {
  await servedOffline();
  return openEngine({ worker: startWorker(new URL(entry, import.meta.url)) });
}

/** A browser starts workers from the page's own origin only; one that imports a script of another is such a one. */
function startWorker(script: URL): Worker {
  if (script.origin === location.origin) return new Worker(script, { type: "module", name: "sluice" });
  const own = URL.createObjectURL(new Blob([`import ${JSON.stringify(script.href)};`], { type: "text/javascript" }));
  return new Worker(own, { type: "module", name: "sluice" });
}

/**
 * Waits until the service worker answers this page, so that what the engine fetches is kept for a visit without network.
 * Where there is none, or it takes long, the model goes ahead.
 */
async function servedOffline(): Promise<void> {
  const container = navigator.serviceWorker as ServiceWorkerContainer | undefined;
  if (!container || container.controller || !import.meta.env.PROD) return;
  const registration = await container.getRegistration();
  if (!registration) return;
  await new Promise<void>((resolve) => {
    container.addEventListener("controllerchange", () => resolve(), { once: true });
    setTimeout(resolve, 3000);
  });
}
