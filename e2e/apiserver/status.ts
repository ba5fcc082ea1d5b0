/** Refusals, in the form of Kubernetes' Status objects. */
import type { Json } from "./object.ts";

export type Cause = { readonly field: string; readonly message: string; readonly reason: string };

const REASONS: Readonly<Record<number, string>> = {
  400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed", 409: "Conflict", 410: "Expired", 415: "UnsupportedMediaType", 422: "Invalid", 429: "TooManyRequests",
  500: "InternalError", 503: "ServiceUnavailable",
};

export class ApiError extends Error {
  readonly status: number;
  readonly reason: string;
  readonly causes: readonly Cause[];
  readonly retryAfterSeconds: number | undefined;

  constructor(status: number, message: string, options: { reason?: string; causes?: readonly Cause[]; retryAfterSeconds?: number } = {}) {
    super(message);
    this.status = status;
    this.reason = options.reason ?? REASONS[status] ?? "Unknown";
    this.causes = options.causes ?? [];
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  toStatus(): Json {
    const details = {
      ...(this.causes.length === 0 ? {} : { causes: this.causes }), ...(this.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: this.retryAfterSeconds }),
    };
    return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message: this.message, reason: this.reason, ...(Object.keys(details).length === 0 ? {} : { details }), code: this.status };
  }
}

export function notFound(plural: string, name: string): ApiError {
  return new ApiError(404, `${plural} "${name}" not found`);
}

export function expired(message: string): ApiError {
  return new ApiError(410, message);
}
