import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAuthority, type Authority } from "@calico/pki";
import { silentLogger, startGrpcServer, systemClock, type TlsFiles } from "@calico/service-kit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ClientKind } from "./gen/calico/sync/v1/sync.ts";
import { createSyncClient } from "./sync-client.ts";

const HOUR_MS = 3_600_000;
const ago = (hours: number): Date => new Date(Date.now() - hours * HOUR_MS);

describe("a connection that does not come about says why", () => {
  let dir: string;
  let ours: Authority;
  let other: Authority;
  let count = 0;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "trouble-"));
    [ours, other] = (await Promise.all(["ca", "ca"].map((commonName) => createAuthority({ commonName, now: ago(20), lifetimeMs: 100 * HOUR_MS })))) as [Authority, Authority];
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  /** Files of somebody with a certificate for a name, signed an hour count ago by an authority; the file of the authority is always ours. */
  async function files(name: string, signer: Authority, hoursAgo = 0): Promise<TlsFiles> {
    const { certificate, key } = await signer.issue({ commonName: name, dns: [name], now: ago(hoursAgo), lifetimeMs: HOUR_MS });
    count += 1;
    const paths = { caFile: join(dir, `${count}.ca`), certFile: join(dir, `${count}.crt`), keyFile: join(dir, `${count}.key`) };
    for (const [path, text] of [[paths.caFile, ours.certificate], [paths.certFile, certificate], [paths.keyFile, key]] as const) writeFileSync(path, text);
    return paths;
  }

  async function whatIsSaid(typha: TlsFiles, node: TlsFiles): Promise<string> {
    const server = await startGrpcServer({ host: "127.0.0.1", port: 0, portParameter: "PORT", tls: typha }, []);
    const { promise, resolve } = Promise.withResolvers<string>();
    const client = createSyncClient({
      addresses: async () => [`127.0.0.1:${server.port}`], tls: node, serverName: "typha-server", tokenFile: "", node: "n", client: ClientKind.CLIENT_KIND_FELIX, programVersion: "x",
      revisions: {}, onStep() {}, onStatus: (_, detail) => resolve(detail), clock: systemClock, log: silentLogger,
    });
    client.start();
    const said = await promise;
    await client.stop();
    await server.close();
    return said;
  }

  it("about typha's certificate", async () => {
    const node = await files("typha-client", ours);
    expect(await whatIsSaid(await files("typha-server", ours, 10), node)).toContain("typha's certificate has expired; helm upgrade makes it anew");
    expect(await whatIsSaid(await files("typha-server", other), node)).toContain(`typha's certificate was not signed by the authority in ${node.caFile}`);
    expect(await whatIsSaid(await files("something-else", ours), node)).toContain("typha's certificate is not for the name typha-server");
  });

  it("about the node's own", async () => {
    const typha = await files("typha-server", ours);
    const expired = await files("typha-client", ours, 10);
    expect(await whatIsSaid(typha, expired)).toContain(`this node's certificate ${expired.certFile} ended `);
    const foreign = await files("typha-client", other);
    expect(await whatIsSaid(typha, foreign)).toContain(`typha does not answer, or does not take this node's certificate ${foreign.certFile}`);
  });
});
