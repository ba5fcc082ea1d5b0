/** The API server of `e2e/apiserver`: one process, ready at once, and it misbehaves when it is told to. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { API_PORT, type ApiServer, type ApiServerOptions } from "../control-plane.ts";
import { serviceAccount } from "../kubeconfig.ts";
import { nodeBinary, repositoryRoot } from "../paths.ts";

/** File to which the shapes of requests are appended: what apiserver/compare replays is checked against it. */
const RECORD = process.env["CALICO_LAB_RECORD"];

export async function startEmbedded({ plan, paths, authority, supervisor, accounts, admin, env }: ApiServerOptions): Promise<ApiServer> {
  const identities = new Map(accounts.map((account) => [account, serviceAccount(account.name, account.node)]));
  const tokenFile = join(paths.config, "tokens.json");
  writeFileSync(tokenFile, JSON.stringify([admin, ...identities.values()]), { mode: 0o600 });
  const certificate = await authority.issue("apiserver", { commonName: "kube-apiserver", ip: [plan.controlAddress, "127.0.0.1"] });
  const faultSocket = join(paths.dir, "faults.sock");
  supervisor.start({
    id: "apiserver",
    command: () => [
      nodeBinary, "--disable-warning=ExperimentalWarning", join(repositoryRoot, "e2e", "apiserver", "main.ts"),
      "--host", plan.controlAddress, "--port", String(API_PORT),
      "--tls-cert", certificate.cert, "--tls-key", certificate.key,
      "--token-file", tokenFile, "--crds", join(repositoryRoot, "charts", "calico", "crds"), "--fault-socket", faultSocket,
      ...(RECORD === undefined ? [] : ["--record", RECORD]),
    ],
    env,
    logFile: join(paths.logs, "apiserver.log"),
  });
  return { faultSocket, identify: () => Promise.resolve(identities) };
}
