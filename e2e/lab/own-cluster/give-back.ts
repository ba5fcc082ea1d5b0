/** Takes back what the lab put into a cluster that is not its own making. */
import { coreTypes, openKubernetesDatastore, type Datastore } from "@calico/datastore";
import { helm, NAMESPACE, RELEASE } from "../cluster/release.ts";
import { labPaths } from "../paths.ts";
import { untilTrue } from "../wait.ts";
import { ownPrograms } from "./programs.ts";
import { readRecord } from "./record.ts";

/** Label of the namespaces that the lab made. */
export const MADE_BY_LAB = "lab.calico/made-by-lab";
const GONE_TIMEOUT_MS = 90_000;

/** Removes the demo's namespaces, and the release when the lab installed it. What could not be removed is said with the commands that do it. */
export async function giveBack(dir: string, onProgress: (line: string) => void): Promise<void> {
  const record = readRecord(dir);
  if (record === null) return;
  const { kubeconfig } = labPaths(dir);
  let datastore: Datastore | null = null;
  try {
    datastore = openKubernetesDatastore({ kubeconfig, userAgent: "calico-lab" });
    // Pods first: their network goes in order as long as Calico runs.
    await removeNamespaces(datastore, await labelled(datastore));
    if (!record.installed) return;
    const tool = { program: (await ownPrograms(onProgress)).helm, kubeconfig };
    if ((await helm(tool, "list", "--all", "--short", "-n", NAMESPACE)).split("\n").includes(RELEASE)) await helm(tool, "uninstall", RELEASE, "-n", NAMESPACE, "--wait", "--timeout", "120s");
    await removeNamespaces(datastore, [NAMESPACE]);
    onProgress(`Calico is uninstalled from ${record.server}; its definitions stay there, and on the nodes what docs/install.md lists`);
  } catch (error) {
    onProgress(`${record.server} could not be cleaned (${error instanceof Error ? error.message : String(error)}); once it answers:
  kubectl delete namespace -l ${MADE_BY_LAB}${record.installed ? `
  helm uninstall ${RELEASE} -n ${NAMESPACE} && kubectl delete namespace ${NAMESPACE}` : ""}`);
  } finally {
    datastore?.close();
  }
}

async function labelled(datastore: Datastore): Promise<string[]> {
  const { items } = await datastore.list(coreTypes.namespaces, { labelSelector: MADE_BY_LAB });
  return items.map(({ metadata }) => metadata.name);
}

async function removeNamespaces(datastore: Datastore, names: readonly string[]): Promise<void> {
  const isThere = (name: string): Promise<boolean> => datastore.get(coreTypes.namespaces, { name }).then(() => true, () => false);
  const present = (await Promise.all(names.map(async (name) => ((await isThere(name)) ? [name] : [])))).flat();
  for (const name of present) await datastore.delete(coreTypes.namespaces, { name });
  await untilTrue(`namespaces ${present.join(", ")} to be gone`, async () => !(await Promise.all(present.map(isThere))).includes(true), GONE_TIMEOUT_MS);
}
