/** The conformance tests of ClusterNetworkPolicy, built once from their pinned Go module, with what this machine has no kernel for left out. */
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AGNHOST_IMAGE } from "../cluster/lab-images.ts";
import { withoutSctpConnections, withoutSctpServers } from "./network-policy-api-edits.ts";
import { cacheFolder, go, requireGo } from "./go.ts";

export const NETWORK_POLICY_API_VERSION = "v0.2.0";

const MODULE = "sigs.k8s.io/network-policy-api";
/** Of the channel that has every field. */
const DEFINITION = "config/crd/experimental/policy.networking.k8s.io_clusternetworkpolicies.yaml";
const MANIFESTS = "conformance/base/manifests.yaml";
const HELPERS = "conformance/utils/kubernetes/helper.go";

/** The program with the tests, and the definition of the kind that they are about. Another edition has another folder. */
const folder = join(cacheFolder, `network-policy-api-${NETWORK_POLICY_API_VERSION}-1`);

export type NetworkPolicyApi = { readonly tests: string; readonly definition: string };

/** Builds the tests when they are not there. Throws when Go is missing or fails, or when the module is not as the edits expect it. */
export async function networkPolicyApi(onProgress: (line: string) => void): Promise<NetworkPolicyApi> {
  const at = (dir: string): NetworkPolicyApi => ({ tests: join(dir, "conformance.test"), definition: join(dir, "definition.yaml") });
  if (existsSync(folder)) return at(folder);
  requireGo(MODULE);
  onProgress(`building the conformance tests of ${MODULE} ${NETWORK_POLICY_API_VERSION}: about two minutes, once`);
  const source = `${folder}.build-${process.pid}`;
  const out = join(source, "out");
  mkdirSync(source, { recursive: true });
  try {
    const { Dir } = JSON.parse(await go(source, ["mod", "download", "-json", `${MODULE}@${NETWORK_POLICY_API_VERSION}`], { GOFLAGS: "" })) as { Dir: string };
    const module = join(source, "module");
    cpSync(Dir, module, { recursive: true });
    rewrite(join(module, MANIFESTS), (text) => withoutSctpServers(text, AGNHOST_IMAGE));
    rewrite(join(module, HELPERS), withoutSctpConnections);
    mkdirSync(out);
    await go(module, ["test", "-c", "-trimpath", "-ldflags", "-s -w", "-o", at(out).tests, "./conformance"]);
    copyFileSync(join(module, DEFINITION), at(out).definition);
    renameSync(out, folder);
  } finally {
    rmSync(source, { recursive: true, force: true });
  }
  return at(folder);
}

/** Files of Go's cache are read-only, and so are their copies. */
function rewrite(file: string, edit: (text: string) => string): void {
  const text = edit(readFileSync(file, "utf8"));
  rmSync(file);
  writeFileSync(file, text);
}
