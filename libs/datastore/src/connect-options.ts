/** Decides which API server to use, and as whom. */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import type { Clock } from "./clock.ts";
import { ConnectionError, type Connection } from "./connection.ts";
import { tokenFileCredentials } from "./credentials.ts";
import { readKubeconfig } from "./kubeconfig.ts";

/** Where the kubelet mounts a pod's identity. */
const SERVICE_ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount";

export interface ConnectOptions {
  /** A kubeconfig file, or `"inCluster"`: the identity the kubelet gives every pod. Absent: see {@link resolveConnection}. */
  readonly kubeconfig?: string;
  /** Context of the kubeconfig, when not its current one. */
  readonly context?: string;
  /** `https://host:port` that wins over every other source of an address; the identity stays the source's. */
  readonly server?: string;
  /** The environment to look into; `process.env` when absent. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Directory with `token`, `ca.crt` and `namespace` of the own pod. */
  readonly serviceAccountDir?: string;
}

/**
 * The connection to use. A kubeconfig that is named is used. Otherwise the cluster we run in, when the environment names
 * one (KUBERNETES_SERVICE_HOST and _PORT) and a service account is mounted; else the file in KUBECONFIG or ~/.kube/config.
 * @throws ConnectionError when none is there or the one chosen is broken.
 */
export function resolveConnection(opts: ConnectOptions, clock: Clock): Connection {
  const found = findConnection(opts, clock);
  if (opts.server === undefined || opts.server === "") return found;
  const server = opts.server.replace(/\/+$/, "");
  if (!URL.canParse(server) || !/^https?:/.test(server)) throw new ConnectionError("InvalidKubeconfig", "API server address", "", `"${server}" is not an http or https URL`);
  return { ...found, server };
}

function findConnection(opts: ConnectOptions, clock: Clock): Connection {
  const env = opts.env ?? process.env;
  const dir = opts.serviceAccountDir ?? SERVICE_ACCOUNT_DIR;
  const context = opts.context === undefined ? {} : { context: opts.context };
  if (opts.kubeconfig === "inCluster") return inCluster(env, dir, clock, opts.server);
  if (opts.kubeconfig !== undefined && opts.kubeconfig !== "") return readKubeconfig(opts.kubeconfig, { ...context, clock });
  if (env["KUBERNETES_SERVICE_HOST"] && existsSync(join(dir, "token"))) return inCluster(env, dir, clock, opts.server);
  return readKubeconfig(defaultKubeconfig(env), { ...context, clock });
}

/** The first file of KUBECONFIG that exists, as kubectl would read it; its merging of several files is not done. */
function defaultKubeconfig(env: Readonly<Record<string, string | undefined>>): string {
  const named = (env["KUBECONFIG"] ?? "").split(delimiter).filter((file) => file !== "");
  return named.find((file) => existsSync(file)) ?? named[0] ?? join(env["HOME"] ?? homedir(), ".kube", "config");
}

function inCluster(env: Readonly<Record<string, string | undefined>>, dir: string, clock: Clock, override: string | undefined): Connection {
  const host = env["KUBERNETES_SERVICE_HOST"] ?? "";
  if (host === "" && !override) throw new ConnectionError("NotInCluster", "environment", "KUBERNETES_SERVICE_HOST", "is not set: not running in a pod");
  const port = env["KUBERNETES_SERVICE_PORT"] ?? "443";
  const read = (name: string): string => {
    try {
      return readFileSync(join(dir, name), "utf8");
    } catch (error) {
      throw new ConnectionError("NotInCluster", join(dir, name), "", `cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown error"})`, { cause: error });
    }
  };
  read("token");
  const namespaceFile = join(dir, "namespace");
  return {
    server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    tls: { ca: read("ca.crt"), insecure: false },
    credentials: tokenFileCredentials(join(dir, "token"), clock),
    namespace: existsSync(namespaceFile) ? read("namespace").trim() : "default",
  };
}
