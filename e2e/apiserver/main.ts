/** The embedded API server as a process. */
import { appendFileSync, existsSync, globSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { parseAllDocuments } from "yaml";
import type { Token } from "./auth.ts";
import type { FaultCommand } from "./faults.ts";
import type { Json } from "./object.ts";
import { calicoPolicies, checkCalico } from "./calico-check.ts";
import { shapeOf } from "./compare/shape.ts";
import { startApiServer, type ApiServer } from "./server.ts";

const { values } = parseArgs({
  options: {
    host: { type: "string", default: "127.0.0.1" }, port: { type: "string", default: "6443" }, "tls-cert": { type: "string" }, "tls-key": { type: "string" }, "token-file": { type: "string" },
    crds: { type: "string" }, "fault-socket": { type: "string" }, record: { type: "string" },
  },
});

const read = (path: string): string => readFileSync(path, "utf8");
const cert = values["tls-cert"];
const key = values["tls-key"];
const tokens = values["token-file"] === undefined ? [] : (JSON.parse(read(values["token-file"])) as Token[]);
const crds = values.crds === undefined ? [] : globSync("*.yaml", { cwd: values.crds }).sort().flatMap((file) => parseAllDocuments(read(join(values.crds ?? "", file))).map((document) => document.toJS() as Json));
const record = values.record;
const shapes = new Set<string>();
const server = await startApiServer({
  host: values.host, port: Number(values.port), ...(cert === undefined || key === undefined ? {} : { tls: { cert: read(cert), key: read(key) } }), tokens, crds,
  check: checkCalico, policies: calicoPolicies,
  ...(record === undefined ? {} : { onRequest: ({ method = "", url = "", headers }) => note(record, `${(headers["user-agent"] ?? "").split("/")[0]} ${shapeOf({ method, path: url, contentType: headers["content-type"], accept: headers.accept })}`) }),
});
process.stdout.write(`API server at ${server.url}, ${crds.length} definitions\n`);

const faultSocket = values["fault-socket"];
const faults = faultSocket === undefined ? null : serveFaults(faultSocket, server);
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => {
    faults?.close();
    void server.close().then(() => process.exit(0));
  });
}

/** Writes down each shape of a request once. */
function note(file: string, shape: string): void {
  if (shapes.has(shape)) return;
  shapes.add(shape);
  appendFileSync(file, `${shape}\n`);
}

/** POST with a FaultCommand: for tests only, on a socket of its own. */
function serveFaults(path: string, api: ApiServer): ReturnType<typeof createServer> {
  if (existsSync(path)) rmSync(path);
  const listener = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const command = JSON.parse(Buffer.concat(chunks).toString() || "{}") as FaultCommand;
      api.inject(command).then(() => response.end("{}"), (error: unknown) => response.writeHead(500).end(String(error)));
    });
  });
  return listener.listen(path);
}
