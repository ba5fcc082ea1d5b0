/** Structured logs: one JSON line per event, a fixed sentence and fields. */
import { pino, type Logger as Pino } from "pino";

export const LOG_LEVELS = ["Debug", "Info", "Warning", "Error", "Fatal"] as const;
/** As Calico names them. */
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFields = Readonly<Record<string, unknown>>;

/** The sentence says what happened and never changes; what changes is in the fields. An Error goes under `error`. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  fatal(message: string, fields?: LogFields): void;
  /** A logger that adds these fields to each line. */
  child(fields: LogFields): Logger;
}

export interface RootLogger extends Logger {
  setLevel(level: LogLevel): void;
}

const PINO_LEVEL: Record<LogLevel, string> = { Debug: "debug", Info: "info", Warning: "warn", Error: "error", Fatal: "fatal" };
/** Keys whose values never reach a log, wherever they stand. */
const SECRET_KEYS = ["password", "token", "authorization", "privateKey", "secret", "bearerToken"];

/** A logger that writes to stdout (or `destination`) synchronously, so that nothing is lost at an exit. */
export function createLogger(service: string, level: LogLevel = "Info", destination?: { write(line: string): void }): RootLogger {
  const root = pino({
    level: PINO_LEVEL[level],
    base: { service },
    messageKey: "msg",
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`]), censor: "[hidden]" },
  }, destination ?? pino.destination({ fd: 1, sync: true }));
  return Object.assign(wrap(root), {
    setLevel(next: LogLevel) {
      root.level = PINO_LEVEL[next];
    },
  });
}

function wrap(logger: Pino): Logger {
  return {
    debug: (message, fields) => logger.debug(plain(fields), message),
    info: (message, fields) => logger.info(plain(fields), message),
    warn: (message, fields) => logger.warn(plain(fields), message),
    error: (message, fields) => logger.error(plain(fields), message),
    fatal: (message, fields) => logger.fatal(plain(fields), message),
    child: (fields) => wrap(logger.child(plain(fields))),
  };
}

/** Errors as text with their causes: what a reader needs, without stacks of expected failures. */
function plain(fields: LogFields = {}): Record<string, unknown> {
  const out: Record<string, unknown> = { ...fields };
  for (const [key, value] of Object.entries(out)) {
    if (value instanceof Error) out[key] = describeError(value);
    else if (typeof value === "bigint") out[key] = value.toString();
  }
  return out;
}

/** An error and its causes in one line: "commit failed: EPERM: table belongs to another process". */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const message = error.message === "" ? error.name : error.message;
  return error.cause === undefined ? message : `${message}: ${describeError(error.cause)}`;
}

/** A logger that says nothing. */
export const silentLogger: RootLogger = { debug() {}, info() {}, warn() {}, error() {}, fatal() {}, child: () => silentLogger, setLevel() {} };
