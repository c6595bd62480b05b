/** A socket for the server, in Node. */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import { SluiceError } from "../errors.ts";
import type { App } from "./app.ts";
import { limits } from "./limits.ts";

/** A server that listens. */
export interface Listening {
  readonly address: string;
  /** Takes no more connections and resolves when the last answer is given. */
  close(): Promise<void>;
}

/** @throws SluiceError `usage` if the port is taken or may not be used */
export async function listen(app: App, host: string, port: number): Promise<Listening> {
  const server = createAdaptorServer({
    fetch: (request, env) => app.fetch(request, env),
    serverOptions: {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: 5000,
    },
  }) as Server;
  const open = new Set<ServerResponse>();
  let onQuiet: () => void = () => undefined;
  server.on("request", (_: IncomingMessage, response: ServerResponse) => {
    open.add(response);
    response.on("close", () => {
      open.delete(response);
      if (open.size === 0) onQuiet();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const why = cause.code === "EADDRINUSE" ? "something else listens there" : cause.message;
      reject(
        new SluiceError("usage", `The server cannot listen at ${host}:${port}: ${why}`, {
          hint: "Choose another --port.",
          cause,
        }),
      );
    });
    server.listen(port, host, resolve);
  });
  const bound = server.address();
  const actual = typeof bound === "object" && bound ? bound.port : port;
  return {
    address: `http://${host.includes(":") ? `[${host}]` : host}:${actual}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        // Connections whose answer is given may still be sending what nobody reads.
        onQuiet = () => server.closeAllConnections();
        server.closeIdleConnections();
        if (open.size === 0) onQuiet();
      }),
  };
}
