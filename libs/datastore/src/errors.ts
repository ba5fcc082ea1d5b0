/** Errors of the datastore, and their translation from Kubernetes' Status objects. */

/**
 * What went wrong, in the words a caller acts on. `Unavailable` covers every failure that may pass by itself (connection
 * refused or lost, time-out, 5xx), `Aborted` means that the caller itself ended the request, `BadRequest` every other refusal.
 */
export type DatastoreErrorCode =
  | "NotFound" | "AlreadyExists" | "Conflict" | "Gone" | "Invalid" | "Forbidden" | "Unauthorized"
  | "TooManyRequests" | "Unavailable" | "BadRequest" | "Aborted";

/** One reason of a refusal; `field` is a path such as `spec.cidr`, empty when the whole object is meant. */
export interface DatastoreErrorCause {
  readonly field: string;
  readonly message: string;
  /** Machine-readable reason of Kubernetes, for example `FieldValueInvalid`. */
  readonly reason?: string;
}

export interface DatastoreErrorOptions extends ErrorOptions {
  readonly status?: number;
  readonly reason?: string;
  readonly retryAfterMs?: number;
  readonly causes?: readonly DatastoreErrorCause[];
}

/** A request that the datastore refused or did not answer. */
export class DatastoreError extends Error {
  override readonly name = "DatastoreError";
  readonly code: DatastoreErrorCode;
  /** HTTP status, 0 when there was no answer. */
  readonly status: number;
  /** Kubernetes' own reason word, or empty. */
  readonly reason: string;
  /** How long the server asks to wait before the next request, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  readonly causes: readonly DatastoreErrorCause[];

  constructor(code: DatastoreErrorCode, message: string, options: DatastoreErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = options.status ?? 0;
    this.reason = options.reason ?? "";
    this.retryAfterMs = options.retryAfterMs;
    this.causes = options.causes ?? [];
  }
}

/** True for a DatastoreError of one of these codes. */
export function isDatastoreError(error: unknown, ...codes: DatastoreErrorCode[]): error is DatastoreError {
  return error instanceof DatastoreError && (codes.length === 0 || codes.includes(error.code));
}

/**
 * True when a list asked for data newer than the server has. It passes when the server catches up, and stays when
 * the datastore was restored from an old backup.
 */
export function isRevisionTooLarge(error: unknown): boolean {
  return error instanceof DatastoreError && error.causes.some((cause) => cause.reason === "ResourceVersionTooLarge");
}

/** The fields of a Kubernetes Status that are read here. */
interface Status {
  kind?: string;
  code?: number;
  reason?: string;
  message?: string;
  details?: { retryAfterSeconds?: number; causes?: { reason?: string; message?: string; field?: string }[] };
}

/**
 * The error for a refusal. `body` is the parsed answer (a Status object, or anything else, which is then ignored);
 * `retryAfter` is the header of that name, in seconds.
 */
export function errorFromStatus(httpStatus: number, body: unknown, what: string, retryAfter?: string): DatastoreError {
  const status: Status = typeof body === "object" && body !== null ? body : {};
  const code = status.code ?? httpStatus;
  const reason = typeof status.reason === "string" ? status.reason : "";
  const seconds = Number(retryAfter ?? status.details?.retryAfterSeconds ?? Number.NaN);
  const causes = (status.details?.causes ?? []).map((cause) => ({
    field: cause.field ?? "",
    message: cause.message ?? "",
    ...(cause.reason === undefined ? {} : { reason: cause.reason }),
  }));
  // An object that is missing is told with a Status; a kind that is missing with a plain page.
  const hint = code === 404 && status.kind !== "Status" ? "; the API server does not know this kind: are its CustomResourceDefinitions there (helm upgrade applies them)?" : "";
  return new DatastoreError(codeOf(code, reason), `${what}: ${status.message ?? `HTTP status ${httpStatus}`}${hint}`, {
    status: code,
    reason,
    causes,
    ...(Number.isFinite(seconds) && seconds >= 0 ? { retryAfterMs: seconds * 1000 } : {}),
  });
}

function codeOf(status: number, reason: string): DatastoreErrorCode {
  switch (status) {
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "NotFound";
    case 409: return reason === "AlreadyExists" ? "AlreadyExists" : "Conflict";
    case 410: return "Gone";
    case 422: return "Invalid";
    case 429: return "TooManyRequests";
    case 408: return "Unavailable";
    default: return status >= 500 ? "Unavailable" : "BadRequest";
  }
}
