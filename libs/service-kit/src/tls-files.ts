/** Certificates in files that somebody else replaces, for a server that goes on listening. */
import { createSecureContext } from "node:tls";
import { experimental } from "@grpc/grpc-js";
import { readTlsFile, type TlsFiles } from "./tls-read.ts";

type CertificateProvider = experimental.CertificateProvider;

/** The kubelet replaces the files of a Secret within a minute or two; a look costs three small reads. */
const REREAD_MS = 10_000;

/**
 * What the files hold, read again every ten seconds while somebody listens. Files that cannot be read, or a key that is
 * not the certificate's, leave what was there: they are being replaced. Throws when they cannot be used at the start.
 */
export function watchTlsFiles(files: TlsFiles, rereadMs = REREAD_MS): CertificateProvider {
  let current = read(files);
  const onCa = new Set<experimental.CaCertificateUpdateListener>();
  const onIdentity = new Set<experimental.IdentityCertificateUpdateListener>();
  let timer: NodeJS.Timeout | undefined;

  function look(): void {
    let next: typeof current;
    try {
      next = read(files);
    } catch {
      return;
    }
    if (next.text === current.text) return;
    current = next;
    for (const listener of onCa) listener(current.ca);
    for (const listener of onIdentity) listener(current.identity);
  }

  function follow<T, Update>(listeners: Set<T & ((update: Update) => void)>, listener: T & ((update: Update) => void), latest: () => Update): void {
    listeners.add(listener);
    timer ??= setInterval(look, rereadMs).unref();
    process.nextTick(() => listener(latest()));
  }

  function leave<T>(listeners: Set<T>, listener: T): void {
    listeners.delete(listener);
    if (onCa.size + onIdentity.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  }

  return {
    addCaCertificateListener: (listener) => follow(onCa, listener, () => current.ca),
    removeCaCertificateListener: (listener) => leave(onCa, listener),
    addIdentityCertificateListener: (listener) => follow(onIdentity, listener, () => current.identity),
    removeIdentityCertificateListener: (listener) => leave(onIdentity, listener),
  };
}

function read({ caFile, certFile, keyFile }: TlsFiles) {
  const [caCertificate, certificate, privateKey] = [readTlsFile(caFile), readTlsFile(certFile), readTlsFile(keyFile)];
  createSecureContext({ ca: caCertificate, cert: certificate, key: privateKey });
  return { ca: { caCertificate }, identity: { certificate, privateKey }, text: Buffer.concat([caCertificate, certificate, privateKey]).toString("latin1") };
}
