/** Calico in a real cluster, as its users install it: the chart, by helm. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Encapsulation } from "../arguments.ts";
import { POD_CIDR } from "../components.ts";
import { API_PORT } from "../control-plane.ts";
import { repositoryRoot } from "../paths.ts";
import { patientSeconds } from "../patience.ts";
import { outputOf } from "../run-program.ts";
import { IMAGE_TAG } from "./calico-images.ts";

export const NAMESPACE = "calico-system";
export const RELEASE = "calico";
const TIMEOUT = patientSeconds(90);

/** What the chart calls the encapsulations of the lab's command line. */
const ENCAPSULATIONS: Readonly<Record<Encapsulation, string>> = { none: "None", vxlan: "VXLAN", "vxlan-crosssubnet": "VXLANCrossSubnet" };

/** Values of the lab. */
export function labValues(controlAddress: string, encapsulation: Encapsulation = "none"): object {
  return {
    image: { tag: IMAGE_TAG },
    kubernetesServiceEndpoint: { host: controlAddress, port: String(API_PORT) },
    installation: {
      calicoNetwork: {
        bgp: "Enabled",
        ipPools: [{ cidr: POD_CIDR, encapsulation: ENCAPSULATIONS[encapsulation], natOutgoing: "Enabled", nodeSelector: "all()" }],
        nodeAddressAutodetectionV4: { interface: "eth0" },
      },
    },
  };
}

export type Helm = { readonly program: string; readonly kubeconfig: string; /** Ends what helm does. */ readonly signal?: AbortSignal };

/** Runs helm and returns what it printed. Throws with its words. */
export const helm = ({ program, kubeconfig, signal }: Helm, ...args: string[]): Promise<string> =>
  outputOf(`helm ${args[0]}`, [program, ...args], { env: { PATH: process.env["PATH"], HOME: process.env["HOME"], KUBECONFIG: kubeconfig }, ...(signal === undefined ? {} : { signal }) });

/** Installs or upgrades the release with the values and waits until it is ready; throws helm's words when it is not in time. */
export async function installRelease(tool: Helm, dir: string, values: object, timeout = TIMEOUT): Promise<void> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const file = join(dir, "values.json");
  writeFileSync(file, JSON.stringify(values, null, 2));
  await helm(tool, "upgrade", "--install", RELEASE, join(repositoryRoot, "charts", "calico"), "--namespace", NAMESPACE, "--create-namespace", "--values", file, "--wait", "--timeout", timeout);
}
