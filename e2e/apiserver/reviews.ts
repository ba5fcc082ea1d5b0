/** Questions about who somebody is and what he may do: whoever has a token here may do everything. */
import type { Authenticator, Token } from "./auth.ts";
import { isObject, type Json } from "./object.ts";
import { ApiError } from "./status.ts";

/** The answer to a review; null: the path is none of one. Throws an ApiError 405 or 400. */
export function review(authenticator: Authenticator, user: Token | null, method: string, path: string, body: unknown): Json | null {
  const [, group = "", plural = ""] = /^\/apis\/(authentication\.k8s\.io|authorization\.k8s\.io)\/v1\/([a-z]+)$/.exec(path) ?? [];
  const answer = REVIEWS[`${group}/${plural}`];
  if (answer === undefined) return null;
  if (method !== "POST") throw new ApiError(405, "the server does not allow this method on the requested resource");
  return answer(isObject(body) ? body : {}, { authenticator, user });
}

type Asker = { readonly authenticator: Authenticator; readonly user: Token | null };

const REVIEWS: Readonly<Record<string, (body: Json, asker: Asker) => Json>> = {
  "authentication.k8s.io/tokenreviews"(body, { authenticator }) {
    const { spec } = body;
    if (!isObject(spec) || (spec["token"] ?? "") === "") throw new ApiError(400, "token is required for TokenReview in authentication");
    return authenticator.review(body);
  },
  "authentication.k8s.io/selfsubjectreviews": (_, { user }) => ({ kind: "SelfSubjectReview", apiVersion: "authentication.k8s.io/v1", metadata: {}, status: { userInfo: user === null ? {} : userInfo(user) } }),
  "authorization.k8s.io/selfsubjectaccessreviews": ({ spec }) => ({ kind: "SelfSubjectAccessReview", apiVersion: "authorization.k8s.io/v1", metadata: {}, spec, status: { allowed: true } }),
};

export const userInfo = ({ username, uid, groups, extra }: Token): Json => ({ username, ...(uid === undefined ? {} : { uid }), ...(groups === undefined ? {} : { groups }), ...(Object.keys(extra ?? {}).length === 0 ? {} : { extra }) });
