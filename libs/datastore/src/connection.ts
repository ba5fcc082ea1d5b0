/** Where the API server is and how to prove oneself to it. */

/** What a request carries to prove its sender. Asked for before each request, so it may change over time. */
export interface Credentials {
  headers(): Promise<Record<string, string>>;
  /** Forgets what is remembered, after the server answered 401. True when the next {@link headers} may differ. */
  refresh(): boolean;
}

export interface TlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Name checked in the server's certificate instead of the host. */
  readonly servername?: string;
  /** Do not check the server's certificate. */
  readonly insecure: boolean;
}

/** A server and an identity. */
export interface Connection {
  /** `http://` or `https://`, host, port and perhaps a path prefix; no slash at the end. */
  readonly server: string;
  readonly tls: TlsOptions;
  readonly credentials: Credentials;
  /** Namespace of the kubeconfig's context or of the own pod; `default` when neither says one. */
  readonly namespace: string;
  /** A client certificate from a plugin: asked for when a new TLS connection is needed. */
  readonly pluginTls?: () => Promise<{ cert?: string; key?: string }>;
}

/** A kubeconfig or service account that cannot be used. The message names the file and the field. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
  readonly code: "InvalidKubeconfig" | "NotInCluster" | "Unsupported";
  readonly file: string;
  /** Path inside the file, for example `clusters[0].cluster.server`; empty when the file as a whole is meant. */
  readonly field: string;

  constructor(code: ConnectionError["code"], file: string, field: string, message: string, options?: ErrorOptions) {
    super(`${file}: ${field === "" ? "" : `${field}: `}${message}`, options);
    this.code = code;
    this.file = file;
    this.field = field;
  }
}
