/** Refusals, in the form of Kubernetes' Status objects. */
import type { Json, ResourceType } from "./object.ts";

/** Without field or reason where they are "". */
export type Cause = { readonly field: string; readonly message: string; readonly reason: string };

/** What a refusal is about. */
export type About = { readonly name?: string; readonly group?: string; readonly kind: string };

type Options = { reason?: string; about?: About; causes?: readonly Cause[]; retryAfterSeconds?: number };

const REASONS: Readonly<Record<number, string>> = {
  400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed", 406: "NotAcceptable", 409: "Conflict", 410: "Expired", 415: "UnsupportedMediaType", 422: "Invalid", 429: "TooManyRequests",
  500: "InternalError", 503: "ServiceUnavailable",
};

export class ApiError extends Error {
  readonly status: number;
  readonly reason: string;
  readonly about: About | undefined;
  readonly causes: readonly Cause[];
  readonly retryAfterSeconds: number | undefined;

  constructor(status: number, message: string, options: Options = {}) {
    super(message);
    this.status = status;
    this.reason = options.reason ?? REASONS[status] ?? "Unknown";
    this.about = options.about;
    this.causes = options.causes ?? [];
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  toStatus(): Json {
    const details = {
      ...this.about, ...(this.causes.length === 0 ? {} : { causes: this.causes.map(({ field, reason, message }) => ({ ...(reason === "" ? {} : { reason }), message, ...(field === "" ? {} : { field }) })) }),
      ...(this.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: this.retryAfterSeconds }),
    };
    return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message: this.message, ...(this.reason === "" ? {} : { reason: this.reason }), ...(Object.keys(details).length === 0 ? {} : { details }), code: this.status };
  }
}

/** A path under which there is nothing at all: not even a Status is the answer. */
export class NoSuchPath extends ApiError {
  constructor() {
    super(404, "404 page not found");
  }
}

type Named = Pick<ResourceType, "group" | "plural" | "kind">;

/** "ippools.projectcalico.org": as messages name a kind. */
export const groupResource = ({ plural, group }: Named): string => (group === "" ? plural : `${plural}.${group}`);
const groupKind = ({ kind, group }: Named): string => (group === "" ? kind : `${kind}.${group}`);

/** An object of a kind, as the details of a Status name it. */
export const aboutObject = ({ group, plural }: Named, name: string): About => ({ ...(name === "" ? {} : { name }), ...(group === "" ? {} : { group }), kind: plural });

export function notFound(type: Named, name: string): ApiError {
  return new ApiError(404, `${groupResource(type)} "${name}" not found`, { about: aboutObject(type, name) });
}

export function alreadyExists(type: Named, name: string): ApiError {
  return new ApiError(409, `${groupResource(type)} "${name}" already exists`, { reason: "AlreadyExists", about: aboutObject(type, name) });
}

export function conflict(type: Named, name: string, why: string): ApiError {
  return new ApiError(409, `Operation cannot be fulfilled on ${groupResource(type)} "${name}": ${why}`, { about: aboutObject(type, name) });
}

/** A policy of the server's forbids the write. */
export function forbidden(type: Named, name: string, why: string): ApiError {
  return new ApiError(403, `${groupResource(type)} "${name}" is forbidden: ${why}`, { about: aboutObject(type, name), causes: [{ field: "", reason: "", message: why }] });
}

/** The object is refused for what is in it. */
export function invalid(type: Named, name: string, causes: readonly Cause[]): ApiError {
  const list = causes.map(({ field, message }) => `${field}: ${message}`);
  const about = { ...(name === "" ? {} : { name }), ...(type.group === "" ? {} : { group: type.group }), kind: type.kind };
  return new ApiError(422, `${groupKind(type)} "${name}" is invalid: ${list.length === 1 ? list[0] : `[${list.join(", ")}]`}`, { about, causes });
}

/** "CreateOptions" and their like are refused as objects of a group of their own. */
export function invalidOptions(kind: string, ...causes: readonly Cause[]): ApiError {
  return invalid({ group: "meta.k8s.io", plural: "", kind }, "", causes);
}

export function expired(message: string): ApiError {
  return new ApiError(410, message);
}
