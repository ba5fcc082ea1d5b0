/**
 * Asks from inside a pod of a cluster that runs elsewhere. Who asks is Kubernetes' own test program agnhost: the pod's
 * container when it is one of that image, else an ephemeral container that is put beside it once.
 */
import { isIPv6 } from "node:net";
import { coreTypes, type Datastore, type KubeObject } from "@calico/datastore";
import { AGNHOST_IMAGE } from "../cluster/lab-images.ts";
import type { Protocol } from "../arguments.ts";
import type { ProbeResult } from "../prober.ts";
import { runProgram, type Ended } from "../run-program.ts";
import { untilTrue } from "../wait.ts";

/** Name of the ephemeral container. */
export const PROBER = "lab-prober";
const START_TIMEOUT_MS = 60_000;
/** What kubectl itself may need. */
const KUBECTL_MS = 15_000;

/** Pods of namespaces with restricted rules take it too. */
export const UNPRIVILEGED = { allowPrivilegeEscalation: false, runAsNonRoot: true, runAsUser: 65_532, capabilities: { drop: ["ALL"] }, seccompProfile: { type: "RuntimeDefault" } };

type Ephemeral = { readonly name: string };
type RawPod = KubeObject & {
  readonly spec: { readonly containers: readonly { readonly name: string; readonly image?: string }[]; readonly ephemeralContainers?: readonly Ephemeral[] };
  readonly status?: { readonly ephemeralContainerStatuses?: readonly { readonly name: string; readonly state?: { readonly running?: object; readonly waiting?: { readonly reason?: string; readonly message?: string } } }[] };
};

export type Target = { readonly address: string; readonly port: number; readonly protocol: Protocol };

export interface Asker {
  /** The container of a pod that can ask; one is added when there is none. Throws when it cannot be started. */
  containerIn(pod: string): Promise<string>;
  /** One question from a container of a pod. TCP: a connection; UDP: an answer to a datagram; SCTP: an association; ICMP: an echo reply. */
  ask(pod: string, container: string, target: Target, timeoutMs: number): Promise<ProbeResult>;
}

export function createAsker({ kubectl, kubeconfig, datastore }: { readonly kubectl: string; readonly kubeconfig: string; readonly datastore: Datastore }): Asker {
  return {
    async containerIn(pod) {
      const [namespace = "", name = ""] = pod.split("/");
      const read = (): Promise<RawPod> => datastore.get<RawPod>(coreTypes.pods, { namespace, name });
      const found = await read();
      const own = found.spec.containers.find(({ image }) => isAgnhost(image));
      if (own !== undefined) return own.name;
      const present = found.spec.ephemeralContainers ?? [];
      if (!present.some((container) => container.name === PROBER)) {
        const prober = { name: PROBER, image: AGNHOST_IMAGE, imagePullPolicy: "IfNotPresent", args: ["pause"], securityContext: UNPRIVILEGED };
        await datastore.patch(coreTypes.pods, { namespace, name }, { metadata: { resourceVersion: found.metadata.resourceVersion }, spec: { ephemeralContainers: [...present, prober] } }, { type: "merge", subresource: "ephemeralcontainers" });
      }
      let state: NonNullable<NonNullable<RawPod["status"]>["ephemeralContainerStatuses"]>[number]["state"];
      await untilTrue(() => `the prober in ${pod} to run (${[state?.waiting?.reason, state?.waiting?.message].filter(Boolean).join(": ") || "not started yet"})`, async () => {
        state = (await read()).status?.ephemeralContainerStatuses?.find((container) => container.name === PROBER)?.state;
        return state?.running !== undefined;
      }, START_TIMEOUT_MS);
      return PROBER;
    },
    async ask(pod, container, target, timeoutMs) {
      const [namespace = "", name = ""] = pod.split("/");
      const began = performance.now();
      const ended = await runProgram([kubectl, "--kubeconfig", kubeconfig, "exec", "-n", namespace, name, "-c", container, "--", ...question(target, timeoutMs)], { timeoutMs: timeoutMs + KUBECTL_MS });
      return { ...verdict(ended, target.protocol, timeoutMs), milliseconds: Math.round(performance.now() - began) };
    },
  };
}

export const isAgnhost = (image = ""): boolean => /(^|\/)agnhost(:|@|$)/.test(image);

/** The command line of one question. */
export function question({ address, port, protocol }: Target, timeoutMs: number): string[] {
  if (protocol === "icmp") return ["ping", "-n", "-c", "1", "-W", String(Math.ceil(timeoutMs / 1000)), address];
  return ["/agnhost", "connect", `${isIPv6(address) ? `[${address}]` : address}:${port}`, `--timeout=${timeoutMs}ms`, `--protocol=${protocol}`];
}

/** What the question's end means. Throws kubectl's words when the question was never asked. */
export function verdict({ status, stdout, stderr }: Ended, protocol: Protocol, timeoutMs: number): Pick<ProbeResult, "reached" | "because"> {
  if (status === 0) return { reached: true, because: protocol === "tcp" || protocol === "sctp" ? "connected" : "echo" };
  const words = stderr.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("Defaulted container"));
  // kubectl ends so when the command was run and said no; ping says with 2 that it could not ask.
  const [, exitCode] = /command terminated with exit code (\d+)/.exec(words.at(-1) ?? "") ?? [];
  if (exitCode === undefined || (protocol === "icmp" && exitCode !== "1")) throw new Error(words.join("; ") || stdout.trim() || `kubectl exec ended with ${status ?? "a signal"}`);
  const said = words.slice(0, -1).join("; ");
  if (protocol === "icmp" || said === "TIMEOUT") return { reached: false, because: `no answer within ${timeoutMs} ms` };
  return { reached: false, because: said === "REFUSED" ? "refused" : said.replace(/^(OTHER|DNS): /, "") || "not reached" };
}
