/** Whether a client is the node that it names. */
import { createHash } from "node:crypto";
import type { Datastore } from "@calico/datastore";
import type { Clock } from "@calico/service-kit";

const NODE_NAME_CLAIM = "authentication.kubernetes.io/node-name";
const CACHE_MS = 60_000;
const MAX_CACHED = 20_000;

export interface IdentityCheck {
  /** null: the token belongs to a pod on that node; otherwise in words why not. Rejects when the API server is away. */
  refusal(token: string, node: string): Promise<string | null>;
}

/** Answers are kept for a minute under a hash of the token, so that reconnecting nodes do not storm the API server. */
export function createIdentityCheck(datastore: Datastore, clock: Clock): IdentityCheck {
  const nodes = new Map<string, { node: string; at: number }>();
  return {
    async refusal(token, node) {
      if (token === "") return "no token was sent; set the file of the service account token (typhaTokenFile)";
      const key = createHash("sha256").update(token).digest("base64");
      const known = nodes.get(key);
      let owner = known !== undefined && clock.monotonic() - known.at < CACHE_MS ? known.node : null;
      if (owner === null) {
        const review = await datastore.createTokenReview(token);
        if (!review.authenticated) return `the token was not accepted: ${review.error || "not authenticated"}`;
        owner = review.extra[NODE_NAME_CLAIM]?.[0] ?? "";
        if (nodes.size >= MAX_CACHED) nodes.clear();
        nodes.set(key, { node: owner, at: clock.monotonic() });
      }
      if (owner === "") return "the token is not bound to a node";
      return owner === node ? null : `the token belongs to node ${owner}, not to ${node}`;
    },
  };
}
