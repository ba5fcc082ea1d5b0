/** Start and stop of a service as a process. */
import { describeError, type Logger } from "./log.ts";

/** A part of a service. `stop` is called only after `start` was, also when that failed; it must cope. */
export interface Component {
  readonly name: string;
  start(signal: AbortSignal): Promise<void> | void;
  stop(): Promise<void> | void;
}

/** 0 ended as asked, 1 failed, 2 wrong configuration, 130 interrupted twice. */
export type ExitCode = number;

/** A configuration that cannot work: the service ends with code 2. */
export class ConfigError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ConfigError";
  }
}

/** Starts in order; when one fails, stops those already started in reverse and rethrows. */
export async function startAll(components: readonly Component[], log: Logger, signal: AbortSignal): Promise<() => Promise<void>> {
  const started: Component[] = [];
  const stop = async (): Promise<void> => {
    for (let component = started.pop(); component !== undefined; component = started.pop()) {
      try {
        await component.stop();
      } catch (error) {
        log.error("A part did not stop cleanly", { part: component.name, error });
      }
    }
  };
  for (const component of components) {
    if (signal.aborted) break;
    started.push(component);
    try {
      await component.start(signal);
    } catch (error) {
      await stop();
      throw new Error(`${component.name} did not start`, { cause: error });
    }
  }
  return stop;
}

/**
 * Runs the parts until SIGTERM or SIGINT, then stops them in reverse order, at most for `stopTimeoutMs`; a second
 * signal ends at once. Resolves to the exit code. An exception that nobody caught is logged and ends the process.
 */
export async function runUntilSignal(components: readonly Component[], { log, stopTimeoutMs = 10_000 }: { log: Logger; stopTimeoutMs?: number }): Promise<ExitCode> {
  const abort = new AbortController();
  const ended = Promise.withResolvers<ExitCode>();
  let signals = 0;
  const onSignal = (name: NodeJS.Signals): void => {
    signals += 1;
    if (signals > 1) process.exit(130);
    log.info("Stopping", { signal: name });
    abort.abort();
    ended.resolve(0);
  };
  const onFault = (error: unknown): void => {
    log.fatal("Unexpected failure", { error, stack: error instanceof Error ? error.stack : undefined });
    ended.resolve(1);
  };
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal).on("uncaughtException", onFault).on("unhandledRejection", onFault);
  let stop: () => Promise<void>;
  try {
    stop = await startAll(components, log, abort.signal);
  } catch (error) {
    log.fatal("Cannot start", { error });
    return isConfigError(error) ? 2 : 1;
  }
  const code = await ended.promise;
  const late = setTimeout(() => {
    log.error("Stopping takes too long, leaving", { afterMs: stopTimeoutMs });
    process.exit(1);
  }, stopTimeoutMs);
  await stop();
  clearTimeout(late);
  return code;
}

function isConfigError(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof ConfigError) return true;
  return false;
}

/** The main function of a service: builds the parts, runs them, ends the process. Wrong configuration is one line, not a stack. */
export async function runService(build: () => Promise<{ components: readonly Component[]; log: Logger }>): Promise<void> {
  try {
    const { components, log } = await build();
    process.exit(await runUntilSignal(components, { log }));
  } catch (error) {
    process.stderr.write(`${describeError(error)}\n`);
    process.exit(isConfigError(error) ? 2 : 1);
  }
}
