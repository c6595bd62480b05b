/**
 * Keeps the site for the next visit, also without a network: its own files from the first visit on, small models and
 * bundles from the moment that they are used. Nothing of other hosts goes through it.
 */
declare const self: ServiceWorkerGlobalScope;
/** Put in by build/offline.ts. */
declare const __SITE_FILES__: readonly string[];
declare const __SITE_VERSION__: string;

const site = `sluice-site-${__SITE_VERSION__}`;
/** Models and bundles, and which of the files that a model may have are not there. */
const used = `sluice-used-${__SITE_VERSION__}`;

self.addEventListener("install", (event) => {
  event.waitUntil(keepSite());
});

self.addEventListener("activate", (event) => {
  event.waitUntil(takeOver());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || !url.href.startsWith(self.registration.scope)) return;
  const path = url.href.slice(self.registration.scope.length);
  if (/^(?:models|shelf)\//.test(path)) event.respondWith(answerUsed(request, url));
  else event.respondWith(answerSite(request, url));
});

async function keepSite(): Promise<void> {
  const cache = await caches.open(site);
  await cache.addAll(__SITE_FILES__.map((file) => new Request(file, { cache: "no-cache" })));
  await self.skipWaiting();
}

async function takeOver(): Promise<void> {
  const names = await caches.keys();
  const old = names.filter((name) => /^sluice-(?:site|used)-/.test(name) && name !== site && name !== used);
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
}

/** What belongs to this version comes from the cache, so that its parts fit each other. */
async function answerSite(request: Request, url: URL): Promise<Response> {
  const kept = await (await caches.open(site)).match(bare(url), { ignoreVary: true });
  return kept ?? fetch(request);
}

/** Files that are being fetched, so that several questions for parts of one fetch it once. */
const fetching = new Map<string, Promise<Response>>();

/** Models and bundles: fetched whole once; ranges are cut from what is kept. */
async function answerUsed(request: Request, url: URL): Promise<Response> {
  const cache = await caches.open(used);
  const key = bare(url);
  const kept = await cache.match(key, { ignoreVary: true });
  if (kept) return part(request, kept);
  if (!request.headers.has("range")) {
    const response = await fetch(request);
    // The page reads it while it is kept.
    if (isKept(response)) void cache.put(key, response.clone());
    return response;
  }
  const whole = fetching.get(key) ?? fetchWhole(cache, key);
  fetching.set(key, whole);
  try {
    return part(request, (await whole).clone());
  } finally {
    fetching.delete(key);
  }
}

async function fetchWhole(cache: Cache, key: string): Promise<Response> {
  const response = await fetch(key);
  if (isKept(response)) await cache.put(key, response.clone());
  return response;
}

/** Without a network, too, the engine must learn that an optional file does not exist. */
function isKept({ status }: Response): boolean {
  return status === 200 || status === 404;
}

async function part(request: Request, whole: Response): Promise<Response> {
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.get("range") ?? "");
  if (!range || whole.status !== 200) return whole;
  const body = await whole.blob();
  const first = Number(range[1]);
  const last = Math.min(range[2] ? Number(range[2]) : body.size - 1, body.size - 1);
  if (first > last) return new Response(null, { status: 416, headers: { "content-range": `bytes */${body.size}` } });
  return new Response(body.slice(first, last + 1), {
    status: 206,
    headers: {
      "content-type": whole.headers.get("content-type") ?? "application/octet-stream",
      "content-length": String(last + 1 - first),
      "content-range": `bytes ${first}-${last}/${body.size}`,
    },
  });
}

/** Without fragment and query, and without the name that servers leave out. */
function bare(url: URL): string {
  return `${url.origin}${url.pathname}`.replace(/\/index\.html$/, "/");
}

export {};
