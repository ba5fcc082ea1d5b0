/** What has to be there before the components start, done once by the chart's hook: definitions, certificates, users of NATS. */
import { openKubernetesDatastore } from "@calico/datastore";
import { createService, type ConfigInputs } from "@calico/service-kit";
import { controllersParams, ENV_PREFIX } from "./config.ts";
import { ensureCredentials } from "./credentials/credentials.ts";
import { applyDefinitions } from "./crds.ts";

/** Does everything that the environment asks for; rejects when something cannot be done, and may be repeated. */
export async function prepare(env: ConfigInputs["env"]): Promise<void> {
  // Nobody is told: NATS may not be there yet.
  const { config, log, version } = await createService("kube-controllers", controllersParams, { env: { ...env, NATS_URL: "" }, envPrefix: ENV_PREFIX });
  const datastore = openKubernetesDatastore({ kubeconfig: config.kubeconfig, userAgent: `calico-prepare/${version}` });
  try {
    if (config.applyDefinitions) await applyDefinitions(datastore, log);
    await ensureCredentials({
      datastore, namespace: config.leaseNamespace, certificates: config.credentials.includes("certificates"), nats: config.credentials.includes("nats"), lifetimeMs: config.certificateLifetime, now: new Date(), log,
    });
  } finally {
    datastore.close();
  }
}
