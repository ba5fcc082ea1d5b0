/** Puts Calico into a cluster that has no network plugin yet. */
import { readFileSync } from "node:fs";
import type { Datastore, KubeObject } from "@calico/datastore";
import { NODE_IPV4_ANNOTATION, NODE_IPV6_ANNOTATION } from "@calico/model";
import { parse } from "yaml";
import { componentsOf } from "../cluster/component-states.ts";
import { helm, installRelease, NAMESPACE, RELEASE, type Helm } from "../cluster/release.ts";
import { isReady } from "../nodes-ready.ts";
import { labPaths } from "../paths.ts";
import { writeRecord } from "./record.ts";

export type OwnNode = KubeObject & { readonly status?: { readonly addresses?: readonly { readonly type: string; readonly address: string }[]; readonly conditions?: readonly { readonly type: string; readonly status: string }[]; readonly nodeInfo?: { readonly kubeletVersion?: string } } };

export type InstallOptions = {
  /** File with values of the chart. */
  readonly values: string | null;
  readonly dir: string;
  readonly onProgress: (line: string) => void;
  readonly server: string;
  readonly nodes: readonly OwnNode[];
  readonly datastore: Datastore;
  readonly tool: Helm;
};

/** Images are pulled. */
const INSTALL_TIMEOUT = "300s";

/** True when it was this lab that installed it. Refuses what would harm the cluster. */
export async function ensureInstalled({ values, dir, onProgress, server, nodes, datastore, tool }: InstallOptions): Promise<boolean> {
  const releases = JSON.parse(await helm(tool, "list", "--all", "-n", NAMESPACE, "-o", "json")) as { name: string; status: string; app_version: string }[];
  const release = releases.find(({ name }) => name === RELEASE);
  if (release !== undefined) {
    if (release.status !== "deployed") throw new Error(`release ${RELEASE} in ${NAMESPACE} is ${release.status}: bring it in order with helm (rollback, upgrade or uninstall) first`);
    if (values !== null) throw new Error(`--values: release ${RELEASE} is there already and stays as it is; change it with helm upgrade (docs/install.md)`);
    onProgress(`release ${RELEASE} (${release.app_version}) is there and stays as it is`);
    return false;
  }
  // What an earlier Calico left on a node keeps it Ready.
  const ready = nodes.filter((node) => isReady(node) && node.metadata.annotations?.[NODE_IPV4_ANNOTATION] === undefined && node.metadata.annotations?.[NODE_IPV6_ANNOTATION] === undefined).map(({ metadata }) => metadata.name);
  if (ready.length > 0) throw new Error(`${ready.join(", ")} ${ready.length === 1 ? "is" : "are"} Ready without this Calico: another network plugin is at work there. Remove it first, or install the chart by hand (docs/install.md)`);
  const chosen = values === null ? {} : readValues(values);
  writeRecord(dir, { server, installed: true });
  onProgress("helm: installing the chart");
  try {
    await installRelease(tool, labPaths(dir).config, chosen, INSTALL_TIMEOUT);
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : String(error)}${await whatWaits(datastore)}`, { cause: error });
  }
  onProgress("helm: the chart is installed");
  return true;
}

function readValues(file: string): object {
  const value: unknown = parse(readFileSync(file, "utf8"));
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`--values ${file}: it has no mapping of values, as charts/calico/values.yaml is one`);
  return value;
}

/** The reasons of Calico's pods that are not ready, most of all images that cannot be pulled. */
async function whatWaits(datastore: Datastore): Promise<string> {
  const states = await componentsOf(datastore).catch(() => []);
  return states.filter(({ ready }) => !ready).map(({ name, node, because }) => `\n  ${name}${node === "" ? "" : ` on ${node}`}: ${because}`).join("");
}
