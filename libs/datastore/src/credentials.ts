/** The ordinary ways to prove oneself to the API server. */
import { readFileSync } from "node:fs";
import type { Clock } from "./clock.ts";
import type { Credentials } from "./connection.ts";

/** A token in a file is read again after this time: the kubelet replaces it long before the old one expires. */
const TOKEN_FILE_REREAD_MS = 60_000;

/** The same headers always: none, a bearer token, or basic authentication. */
export function fixedCredentials(headers: Record<string, string>): Credentials {
  return { headers: () => Promise.resolve(headers), refresh: () => false };
}

/**
 * A bearer token kept in a file that somebody else replaces. It is read once a minute and after a 401; when it cannot be
 * read the last one is used on, and without one the request fails with the reason.
 */
export function tokenFileCredentials(file: string, clock: Clock, extra: Record<string, string> = {}): Credentials {
  let token: string | undefined;
  let readAtMs = Number.NEGATIVE_INFINITY;
  return {
    // An async function, so that a failure rejects.
    async headers() {
      if (clock.nowMs() - readAtMs >= TOKEN_FILE_REREAD_MS) {
        try {
          token = readFileSync(file, "utf8").trim();
          readAtMs = clock.nowMs();
        } catch (error) {
          if (token === undefined) throw new Error(`token file ${file} cannot be read`, { cause: error });
        }
      }
      return { ...extra, authorization: `Bearer ${token}` };
    },
    refresh() {
      const before = token;
      readAtMs = Number.NEGATIVE_INFINITY;
      try {
        return readFileSync(file, "utf8").trim() !== before;
      } catch {
        return false;
      }
    },
  };
}
