/** Carries out the plugin's calls: those for one pod one after another, others side by side. */
import { describeError, withSpan } from "@calico/service-kit";
import { check } from "./check.ts";
import { collect, type PodName } from "./collect.ts";
import { add, del, type Surroundings } from "./commands.ts";
import { CniError, CODE } from "./errors.ts";
import { requireSupported } from "./network-config.ts";
import { parseRequest, VERSIONS, type CniRequest } from "./request.ts";
import { renderResult } from "./result.ts";
import type { CallHandler } from "./server.ts";

export type CallOptions = {
  readonly surroundings: Surroundings;
  /** In words why pods cannot be served now; null: they can. */
  readonly notReady: () => Promise<string | null>;
  readonly onCall: (command: string, seconds: number, code: number) => void;
};

export function createCallHandler({ surroundings, notReady, onCall }: CallOptions): CallHandler {
  const tails = new Map<string, Promise<unknown>>();
  const { log } = surroundings;

  /** Runs after what is under way for the same pod: all its containers, one after the other, have the same host interface. */
  function inTurn<T>({ namespace, pod }: PodName, run: () => Promise<T>): Promise<T> {
    const key = `${namespace}/${pod}`;
    const before = tails.get(key) ?? Promise.resolve();
    const result = before.then(run, run);
    const tail = result.catch(() => undefined).finally(() => {
      if (tails.get(key) === tail) tails.delete(key);
    });
    tails.set(key, tail);
    return result;
  }

  async function carryOut(request: CniRequest): Promise<string> {
    switch (request.command) {
      case "VERSION": return JSON.stringify({ cniVersion: request.cniVersion, supportedVersions: VERSIONS });
      case "ADD":
        requireSupported(request.config, surroundings.node);
        return JSON.stringify(renderResult(await inTurn(request, () => add(request, surroundings)), request.cniVersion));
      case "DEL":
        await inTurn(request, () => del(request, surroundings));
        return "";
      case "STATUS": {
        requireSupported(request.config, surroundings.node);
        const reason = await notReady();
        if (reason !== null) throw new CniError(CODE.notAvailable, "pods cannot be served", reason);
        return "";
      }
      case "CHECK":
        await inTurn(request, async () => check(request, surroundings));
        return "";
      case "GC":
        await collect(request, surroundings, inTurn);
        return "";
    }
  }

  return async ({ env, stdin }) => {
    const started = performance.now();
    let command = env["CNI_COMMAND"] ?? "";
    try {
      const request = parseRequest(env, stdin);
      command = request.command;
      const body = await withSpan(`cni ${command}`, { pod: `${request.namespace}/${request.pod}` }, () => carryOut(request));
      onCall(command, (performance.now() - started) / 1000, 0);
      if (command === "ADD" || command === "DEL") log.info(`${command} done`, { pod: `${request.namespace}/${request.pod}`, container: request.containerId, ms: Math.round(performance.now() - started) });
      return body;
    } catch (error) {
      const failure = error instanceof CniError ? error : new CniError(CODE.failed, describeError(error));
      onCall(command, (performance.now() - started) / 1000, failure.code);
      log.warn("A call failed", { command, container: env["CNI_CONTAINERID"], code: failure.code, reason: failure.message, details: failure.details });
      throw failure;
    }
  };
}
