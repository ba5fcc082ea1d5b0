/**
 * Credentials from a plugin program or cloud provider (`users[].user.exec`, `auth-provider`). They are left to the
 * official client, which is loaded only when such a kubeconfig is used: loading it takes some 400 ms.
 */
import type { KubeConfig } from "@kubernetes/client-node";
import type { Credentials } from "./connection.ts";

/** The plugin's tokens and certificates; it is run again when they expire. */
export function pluginCredentials(file: string, context: string): { credentials: Credentials; tls: () => Promise<{ cert?: string; key?: string }> } {
  let loading: Promise<KubeConfig> | undefined;
  const load = (): Promise<KubeConfig> => {
    loading ??= import("@kubernetes/client-node").then(({ KubeConfig }) => {
      const config = new KubeConfig();
      config.loadFromFile(file);
      config.setCurrentContext(context);
      return config;
    });
    return loading;
  };
  const apply = async (): Promise<{ headers: Record<string, string>; cert?: string; key?: string }> => {
    const options: { headers: Record<string, string>; cert?: string | Buffer; key?: string | Buffer } = { headers: {} };
    await (await load()).applyToHTTPSOptions(options);
    return {
      headers: Object.fromEntries(Object.entries(options.headers).map(([name, value]) => [name.toLowerCase(), value])),
      ...(options.cert === undefined ? {} : { cert: options.cert.toString() }),
      ...(options.key === undefined ? {} : { key: options.key.toString() }),
    };
  };
  return {
    credentials: {
      headers: async () => (await apply()).headers,
      refresh() {
        // A fresh configuration has no remembered token, so the plugin runs again.
        loading = undefined;
        return true;
      },
    },
    async tls() {
      const { cert, key } = await apply();
      return { ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) };
    },
  };
}
