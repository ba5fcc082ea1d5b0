/**
 * A real cluster: Kubernetes' own control plane, and on every node of the lab containerd and a kubelet. Calico comes into it
 * as its users bring it, by its images and its chart.
 */
import type { Encapsulation } from "../arguments.ts";
import { startPrograms } from "../api-servers/kubernetes-programs.ts";
import { API_PORT } from "../control-plane.ts";
import { administrator, writeKubeconfig } from "../kubeconfig.ts";
import type { NodeHost } from "../node-host.ts";
import type { LabPaths } from "../paths.ts";
import type { Authority } from "../pki.ts";
import { goTool } from "../programs/go.ts";
import { clusterPrograms, type ClusterPrograms } from "../programs/kubernetes.ts";
import { outputOf } from "../run-program.ts";
import type { Supervisor } from "../supervisor.ts";
import { MARKER } from "../sweep.ts";
import type { LabPlan } from "../topology.ts";
import { untilTrue } from "../wait.ts";
import { coreDns } from "./addons.ts";
import { calicoImages } from "./calico-images.ts";
import { labImage } from "./lab-images.ts";
import { CONTAINERD_SOCKET, nodePrograms, requireSystemPrograms } from "./node-programs.ts";
import { installRelease, labValues, type Helm } from "./release.ts";

export type ClusterOptions = {
  readonly plan: LabPlan;
  readonly paths: LabPaths;
  readonly authority: Authority;
  readonly supervisor: Supervisor;
  readonly hosts: readonly NodeHost[];
  readonly onProgress: (line: string) => void;
  readonly encapsulation: Encapsulation;
  /** False: services are not kube-proxy's. */
  readonly kubeProxy?: boolean;
  /** Values of the chart that win over the lab's own; null: Calico is not installed. */
  readonly values?: object | null;
};

export type Cluster = {
  readonly server: string;
  readonly kubectl: string;
  readonly helm: Helm;
  /** Puts archives of images into every node's containerd. */
  importImages(archives: readonly string[]): Promise<void>;
  /** Starts the programs of the nodes, DNS and Calico; the API server answers. Resolves when the chart is ready. */
  populate(): Promise<void>;
};

/** Starts the control plane; what is missing on the machine is said before anything starts. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { plan, paths, authority, supervisor, hosts, onProgress, encapsulation, kubeProxy = true, values = {} } = options;
  requireSystemPrograms();
  const programs = await clusterPrograms(onProgress);
  const helm = { program: await goTool("helm", onProgress), kubeconfig: paths.kubeconfig };
  await goTool("coredns", onProgress);
  const images = Promise.all([labImage("pause"), labImage("server"), labImage("coredns"), ...(values === null ? [] : [calicoImages(onProgress)])]).then((archives) => archives.flat());
  images.catch(() => undefined); // awaited below
  const server = `https://${plan.controlAddress}:${API_PORT}`;
  const admin = administrator();
  const env = { PATH: process.env["PATH"] ?? "", [MARKER]: plan.name };
  writeKubeconfig(paths.kubeconfig, server, authority.caFile, admin);
  await startPrograms({ plan, paths, authority, supervisor, admin, env, programs, controllers: ["*"], kubelets: true });

  const importImages = async (archives: readonly string[]): Promise<void> => {
    await Promise.all(hosts.map(async (host) => {
      for (const archive of archives) await ctr(host, "images", "import", archive);
    }));
  };
  return {
    server,
    kubectl: programs.kubectl,
    helm,
    importImages,
    async populate() {
      await Promise.all(hosts.map(async (host) => {
        const [containerd, ...others] = await nodePrograms(host, { server, paths, programs, authority, kubeProxy, env });
        supervisor.start(containerd);
        // A kubelet that meets no runtime ends.
        await untilContainerd(host);
        for (const spec of others) supervisor.start(spec);
      }));
      onProgress("containerd and kubelets started");
      await Promise.all([apply(programs, paths, coreDns), images.then(importImages).then(() => onProgress("images imported"))]);
      if (values === null) return;
      await installRelease(helm, paths.config, { ...labValues(plan.controlAddress, encapsulation), ...values });
      onProgress("helm: the chart is installed");
    },
  };
}

const ctr = (host: NodeHost, ...args: string[]): Promise<string> => outputOf(`ctr ${args.join(" ")} on ${host.plan.name}`, host.enter(["ctr", "-a", CONTAINERD_SOCKET, "-n", "k8s.io", ...args]));

const untilContainerd = (host: NodeHost): Promise<void> => untilTrue(`containerd of ${host.plan.name}`, () => ctr(host, "version").then(() => true), 20_000);

/** Applies objects of any kind. An API server that has just started and is asked by everybody may be slow to answer. */
const apply = (programs: ClusterPrograms, paths: LabPaths, objects: readonly object[]): Promise<void> =>
  untilTrue("objects to be applied", async () => {
    await outputOf("kubectl apply", [programs.kubectl, "--kubeconfig", paths.kubeconfig, "apply", "--server-side", "-f", "-"], { input: JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }) });
    return true;
  }, 60_000);
