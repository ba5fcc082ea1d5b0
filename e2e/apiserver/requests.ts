/** Requests taken apart: which kind, which object, which options. */
import { ApiError } from "./status.ts";

export type Target = { readonly group: string; readonly version: string; readonly plural: string; readonly namespace: string | undefined; readonly name: string | undefined; readonly subresource: string | undefined };

/** null for a path that is none of a resource. */
export function parsePath(path: string): Target | null {
  const parts = path.split("/").filter((part) => part !== "").map(decode);
  const [root, ...rest] = parts;
  if (root === "api") return target("", rest);
  if (root === "apis" && rest.length >= 2) return target(rest[0] ?? "", rest.slice(1));
  return null;
}

function target(group: string, [version, ...rest]: readonly string[]): Target | null {
  if (version === undefined || rest.length === 0) return null;
  // "namespaces/x" alone is the object; "namespaces/x/pods" is inside it.
  if (rest[0] === "namespaces" && rest.length >= 3 && !(group === "" && rest[2] === "status")) {
    const [, namespace, plural = "", name, subresource] = rest;
    return { group, version, plural, namespace, name, subresource };
  }
  const [plural = "", name, subresource] = rest;
  return { group, version, plural, namespace: undefined, name, subresource };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new ApiError(400, `malformed path element ${JSON.stringify(part)}`);
  }
}

/** Continuation of a paged list: what was listed, up to where. */
export function encodeContinue(revision: number, after: string): string {
  return Buffer.from(JSON.stringify([revision, after])).toString("base64url");
}

export function decodeContinue(token: string): { revision: number; after: string } {
  try {
    const [revision, after] = JSON.parse(Buffer.from(token, "base64url").toString()) as [number, string];
    if (Number.isInteger(revision) && typeof after === "string") return { revision, after };
  } catch {
    // Refused below.
  }
  throw new ApiError(400, "continue key is not valid");
}
