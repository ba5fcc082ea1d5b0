/** Who is asking: bearer tokens from a table. */
import type { Json } from "./object.ts";
import { userInfo } from "./reviews.ts";

export type Token = { readonly token: string; readonly username: string; readonly uid?: string; readonly groups?: readonly string[]; readonly extra?: Readonly<Record<string, readonly string[]>> };

export interface Authenticator {
  /** null: not known. */
  user(authorization: string | undefined): Token | null;
  /** The answer to a TokenReview. */
  review(request: Json): Json;
}

export function createAuthenticator(tokens: readonly Token[]): Authenticator {
  const byToken = new Map(tokens.map((token) => [token.token, token]));
  return {
    user: (authorization) => byToken.get((authorization ?? "").replace(/^Bearer /, "")) ?? null,
    review(request) {
      const spec = (request["spec"] ?? {}) as { token?: string; audiences?: string[] };
      const found = byToken.get(spec.token ?? "");
      const status = found === undefined ? { user: {}, error: "invalid bearer token" } : { authenticated: true, user: userInfo(found), audiences: spec.audiences ?? [] };
      return { kind: "TokenReview", apiVersion: "authentication.k8s.io/v1", metadata: {}, spec: request["spec"] ?? {}, status };
    },
  };
}
