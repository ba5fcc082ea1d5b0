import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type PeerCertificate } from "node:tls";
import { createAuthority } from "@calico/pki";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startGrpcServer } from "./grpc.ts";
import { watchTlsFiles } from "./tls-files.ts";

let dir: string;
let files: { caFile: string; certFile: string; keyFile: string };
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "tls-"));
  files = { caFile: join(dir, "ca.crt"), certFile: join(dir, "tls.crt"), keyFile: join(dir, "tls.key") };
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Another authority and certificate in the files. */
async function replace(commonName: string): Promise<void> {
  const lifetime = { now: new Date(), lifetimeMs: 3_600_000 };
  const authority = await createAuthority({ commonName: `${commonName}-ca`, ...lifetime });
  const { certificate, key } = await authority.issue({ commonName, dns: ["server"], ...lifetime });
  for (const [file, text] of [[files.caFile, authority.certificate], [files.certFile, certificate], [files.keyFile, key]] as const) writeFileSync(file, text);
}

/** Common name that a server shows to a client who has the certificate in the files. */
function nameOf(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, servername: "server", ALPNProtocols: ["h2"], ca: readFileSync(files.caFile), cert: readFileSync(files.certFile), key: readFileSync(files.keyFile) }, () => {
      const { subject } = socket.getPeerCertificate() as PeerCertificate;
      socket.destroy();
      resolve(String(subject.CN));
    });
    socket.on("error", reject);
  });
}

/** What a follower of the files is told, until it was told `count` times. */
function told(count: number, change: () => Promise<void>): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const certificates: string[] = [];
    const provider = watchTlsFiles(files, 5);
    const listener = (update: { certificate: Buffer } | null): void => {
      certificates.push(update?.certificate.toString() ?? "none");
      if (certificates.length === 1) change().catch(reject);
      if (certificates.length < count) return;
      provider.removeIdentityCertificateListener(listener as never);
      resolve(certificates);
    };
    provider.addIdentityCertificateListener(listener as never);
  });
}

test("what is replaced is told once; a key that is not the certificate's is waited out", async () => {
  await replace("one");
  const first = readFileSync(files.certFile, "utf8");
  const certificates = await told(2, async () => {
    writeFileSync(files.keyFile, "half of a key");
    await replace("two");
  });
  expect(certificates).toEqual([first, readFileSync(files.certFile, "utf8")]);
});

test("files that cannot be used are refused at the start, by name", async () => {
  expect(() => watchTlsFiles(files)).toThrow(`cannot read the TLS file ${files.caFile}`);
  await expect(startGrpcServer({ host: "127.0.0.1", port: 0, portParameter: "X", tls: files }, [])).rejects.toThrow(files.caFile);
});

test("a server shows what the files hold", async () => {
  await replace("one");
  const server = await startGrpcServer({ host: "127.0.0.1", port: 0, portParameter: "X", tls: files }, []);
  try {
    expect(await nameOf(server.port)).toBe("one");
  } finally {
    await server.close();
  }
});
