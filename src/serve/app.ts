/** The server's routes and what guards them. Free of Node: it takes requests and returns responses. */
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { readBundle } from "../index.ts";
import { bytesOf, jsonOf } from "./body.ts";
import { chat } from "./chat.ts";
import { complete } from "./completions.ts";
import { checkName } from "./interventions.ts";
import type { ApiKeys } from "./keys.ts";
import { steer } from "./neuronpedia.ts";
import { Problem, problemOf } from "./problem.ts";
import type { Service } from "./service.ts";

export interface AppOptions {
  /** Who may use it; absent: everybody who reaches it. */
  readonly keys?: ApiKeys | undefined;
  /** Origins of pages that may use it; `*` for any. */
  readonly origins: readonly string[];
  /** Whether bundles may be uploaded and deleted. */
  readonly allowUploads: boolean;
  /** Told of faults of the server. */
  readonly onFault: (error: unknown) => void;
}

/** A server without a socket. */
export interface App {
  fetch(request: Request, env?: unknown): Response | Promise<Response>;
  /** From now on requests are refused; those under way go on. */
  drain(): void;
}

export function makeApp(service: Service, { keys, origins, allowUploads, onFault }: AppOptions): App {
  const app = new Hono();
  const { metrics, engine, limits } = service;
  let isDraining = false;

  const refuse = (c: Context, error: unknown): Response => {
    const problem = problemOf(error);
    if (problem.status === 500) onFault(error);
    return c.json(problem.body, problem.status as 400, { ...problem.headers });
  };
  app.onError((error, c) => refuse(c, error));
  app.notFound((c) =>
    refuse(
      c,
      new Problem(404, `There is no ${c.req.method} ${c.req.path.slice(0, 200)} here`, { code: "unknown_url" }),
    ),
  );

  app.use(async (c, next) => {
    const began = performance.now();
    await next();
    // Whoever comes again shall find another server.
    if (isDraining) c.header("Connection", "close");
    const route = c.req.routePath === "/*" ? "other" : c.req.routePath;
    metrics.answered(route, c.res.status, (performance.now() - began) / 1000);
  });
  app.use(guardOrigins(origins));
  app.use(
    cors({
      origin: origins.includes("*") ? "*" : [...origins],
      allowMethods: ["GET", "POST", "PUT", "DELETE"],
      exposeHeaders: ["Retry-After"],
    }),
  );

  app.get("/health", (c) => {
    if (!isDraining) return c.json({ status: "ok" });
    return c.json({ status: "draining" }, 503, { ...draining().headers });
  });

  app.use(async (c, next) => {
    if (keys && !(await keys.admits(c.req.header("Authorization")))) {
      throw new Problem(401, "This server needs an API key: Authorization: Bearer KEY", { code: "invalid_api_key" });
    }
    await next();
  });
  app.get("/metrics", (c) => {
    return c.text(metrics.print(engine.stats, engine.bundles.size), 200, {
      "Content-Type": "text/plain; version=0.0.4; charset=utf-8",
    });
  });
  app.use(async (c, next) => {
    if (isDraining && c.req.method !== "GET") throw draining();
    await next();
  });

  const models = () => [{ id: service.name, object: "model", created: service.created, owned_by: "sluice" }];
  app.get("/v1/models", (c) => c.json({ object: "list", data: models() }));
  app.get("/v1/models/:name{.+}", (c) => {
    service.checkModel(c.req.param("name"));
    return c.json(models()[0] as object);
  });
  const body = (c: Context) => jsonOf(c, limits.bodyBytes);
  app.post("/v1/completions", async (c) => complete(service, await body(c), c.req.raw.signal));
  app.post("/v1/chat/completions", async (c) => chat(service, await body(c), c.req.raw.signal));

  const steered = (shape: Parameters<typeof steer>[3]) => async (c: Context) =>
    steer(service, await body(c), c.req.raw.signal, shape);
  app.post(
    "/api/steer",
    // What has not begun is null there.
    steered((texts) => Object.fromEntries(texts.map(({ type, output }) => [type, output === "" ? null : output]))),
  );
  app.post(
    "/v1/steer/completion",
    steered((outputs) => ({ outputs })),
  );

  const { bundles } = engine;
  app.get("/v1/bundles", (c) => c.json({ object: "list", data: bundles.names.map((name) => bundles.describe(name)) }));
  app.get("/v1/bundles/:name", (c) => c.json(bundles.detail(c.req.param("name"))));
  const uploads: MiddlewareHandler = async (_, next) => {
    if (!allowUploads)
      throw new Problem(403, "This server does not take bundles: start it with --allow-uploads", {
        code: "uploads_off",
      });
    await next();
  };
  app.put("/v1/bundles/:name", uploads, async (c) => {
    const name = checkName(c.req.param("name"));
    const bytes = await bytesOf(c, limits.bundleBytes);
    const isNew = await engine.addBundle(name, readBundle(bytes, name));
    return c.json(bundles.describe(name), isNew ? 201 : 200);
  });
  app.delete("/v1/bundles/:name", uploads, (c) => {
    const name = c.req.param("name");
    engine.removeBundle(name);
    return c.json({ id: name, object: "bundle", deleted: true });
  });

  for (const [path, methods] of Object.entries(METHODS)) {
    app.all(path, (c) => {
      c.header("Allow", methods);
      throw new Problem(405, `${c.req.path.slice(0, 200)} takes ${methods}, not ${c.req.method.slice(0, 20)}`, {
        code: "method_not_allowed",
      });
    });
  }

  return {
    fetch: (request, env) => app.fetch(request, env as Record<string, unknown>),
    drain() {
      isDraining = true;
    },
  };
}

/** What addresses take, for requests that do otherwise. */
const METHODS: Readonly<Record<string, string>> = {
  "/health": "GET",
  "/metrics": "GET",
  "/v1/models": "GET",
  "/v1/models/:name{.+}": "GET",
  "/v1/completions": "POST",
  "/v1/chat/completions": "POST",
  "/api/steer": "POST",
  "/v1/steer/completion": "POST",
  "/v1/bundles": "GET",
  "/v1/bundles/:name": "GET, PUT, DELETE",
};

/** Pages of other origins are refused, since a browser sends them a user's reach. */
function guardOrigins(allowed: readonly string[]): MiddlewareHandler {
  return async (c, next) => {
    const origin = c.req.header("Origin");
    if (origin !== undefined && !allowed.includes("*") && !allowed.includes(origin)) {
      throw new Problem(
        403,
        `Pages of ${origin.slice(0, 200)} may not use this server: start it with --cors ${origin.slice(0, 200)}`,
        { code: "origin_refused" },
      );
    }
    await next();
  };
}

function draining(): Problem {
  return new Problem(503, "The server is shutting down", { code: "draining" });
}
