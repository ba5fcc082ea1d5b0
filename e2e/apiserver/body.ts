/** Reads the bodies of requests. */
import type { IncomingMessage } from "node:http";
import { parse as parseYaml } from "yaml";
import { ApiError } from "./status.ts";

const MAX_BODY = 8 * 1024 * 1024;
const READABLE = ["", "application/json", "application/yaml"];

/** "application/json" of "application/json; charset=utf-8". */
export const mediaTypeOf = (request: IncomingMessage): string => (request.headers["content-type"] ?? "").split(";")[0]?.trim() ?? "";

/** The parsed body; undefined when there is none. Throws an ApiError 415 or 400. */
export async function readBody(request: IncomingMessage): Promise<unknown> {
  const mediaType = mediaTypeOf(request);
  const isPatch = request.method === "PATCH";
  if (/protobuf/.test(mediaType)) throw new ApiError(415, "this API server of the lab reads JSON and YAML, not protobuf: write the object to a file and use kubectl apply -f");
  if (!isPatch && !READABLE.includes(mediaType)) throw new ApiError(415, `the body of the request was in an unknown format - accepted media types include: ${READABLE.filter((type) => type !== "").join(", ")}`);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) throw new ApiError(400, "the body is too large");
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString("utf8");
  if (text === "") return undefined;
  try {
    // Kubernetes reads YAML 1.1, in which "yes" is true.
    return mediaType.endsWith("yaml") && !text.trimStart().startsWith("{") ? (parseYaml(text, { version: "1.1" }) as unknown) : (JSON.parse(text) as unknown);
  } catch (error) {
    throw new ApiError(400, `the body of the request cannot be read: ${(error as Error).message}`);
  }
}
