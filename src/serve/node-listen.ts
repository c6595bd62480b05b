/** A socket for the server, in Node. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { getRequestListener, RequestError } from "@hono/node-server";
import { SluiceError } from "../errors.ts";
import type { App } from "./app.ts";
import type { Limits } from "./limits.ts";
import { OpenAnswers } from "./node-open-answers.ts";
import { Problem, problemOf } from "./problem.ts";

export interface ListenOptions {
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
  readonly limits: Limits;
}

/** A server that listens. */
export interface Listening {
  readonly address: string;
  /** Goes on listening until the answers under way are given, then ends every connection. */
  close(): Promise<void>;
}

/** @throws SluiceError `usage` if the port is taken or may not be used */
export async function listen(app: App, { host, port, limits }: ListenOptions): Promise<Listening> {
  const { headersMs, requestMs } = limits;
  const timing = {
    headersTimeout: headersMs,
    requestTimeout: requestMs,
    connectionsCheckingInterval: Math.min(10_000, headersMs / 2, requestMs / 2),
    keepAliveTimeout: 5000,
  };
  const listener = getRequestListener((request, env) => app.fetch(request, env), {
    // HTTP/1.0 names none.
    hostname: "localhost",
    // The routes answer their own errors.
    errorHandler: (error) => {
      const { status, body } =
        error instanceof RequestError
          ? new Problem(400, "The request's address or Host cannot be read", { code: "bad_http" })
          : problemOf(error);
      return Response.json(body, { status });
    },
  });
  const server = createServer({ maxHeaderSize: limits.headerBytes, ...timing }, listener);
  server.maxConnections = limits.connections;
  const answers = new OpenAnswers(limits.stallMs);
  server.on("request", (_: IncomingMessage, response: ServerResponse) => answers.add(response));
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    if (socket.writable && !answers.hasBegun(socket)) socket.end(refusal(error));
    else socket.destroy();
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
    async close() {
      await answers.ended();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        // Connections whose answer is given may still be sending what nobody reads.
        server.closeAllConnections();
      });
      answers.dispose();
    },
  };
}

/** What a client is told whose request could not be read as HTTP. */
function refusal({ code }: NodeJS.ErrnoException): string {
  const problem =
    code === "HPE_HEADER_OVERFLOW"
      ? new Problem(431, "The headers are too large", { code: "headers_too_large" })
      : code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? new Problem(408, "The request took too long to arrive", { code: "timeout" })
        : new Problem(400, "This is not an HTTP request", { code: "bad_http" });
  const phrases: Readonly<Record<number, string>> = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
  };
  const body = JSON.stringify(problem.body);
  return [
    `HTTP/1.1 ${problem.status} ${phrases[problem.status]}`,
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
    "",
    body,
  ].join("\r\n");
}
