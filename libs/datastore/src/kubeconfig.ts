/** Reads a kubeconfig file. */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parse } from "yaml";
import type { Clock } from "./clock.ts";
import { ConnectionError, type Connection, type Credentials, type TlsOptions } from "./connection.ts";
import { fixedCredentials, tokenFileCredentials } from "./credentials.ts";
import { pluginCredentials } from "./plugin-credentials.ts";

export interface KubeconfigOptions {
  /** Name of the context to use; the file's current context when absent. */
  readonly context?: string;
  readonly clock: Clock;
}

/**
 * Reads the file and the files it names.
 * @throws {@link ConnectionError} that names the file and the field which is missing or wrong.
 */
export function readKubeconfig(file: string, { context: wanted, clock }: KubeconfigOptions): Connection {
  const reader = openReader(file);
  const contextName = wanted ?? reader.text(reader.root, "current-context", "");
  if (contextName === undefined || contextName === "") throw reader.wrong("current-context", "no context is selected");
  const context = reader.entry("contexts", "context", contextName, wanted === undefined ? "current-context" : "contexts");
  const clusterName = reader.required(context.value, "cluster", context.path);
  const cluster = reader.entry("clusters", "cluster", clusterName, `${context.path}.cluster`);
  const userName = reader.text(context.value, "user", context.path) ?? "";
  const user = userName === "" ? { value: {}, path: "users" } : reader.entry("users", "user", userName, `${context.path}.user`);

  const server = reader.required(cluster.value, "server", cluster.path).replace(/\/+$/, "");
  if (!URL.canParse(server) || !/^https?:/.test(server)) throw reader.wrong(`${cluster.path}.server`, `"${server}" is not an http or https URL`);
  if (reader.text(cluster.value, "proxy-url", cluster.path)) {
    throw new ConnectionError("Unsupported", file, `${cluster.path}.proxy-url`, "connections through a proxy are not supported");
  }
  const plugin = "exec" in user.value || "auth-provider" in user.value ? pluginCredentials(file, contextName) : undefined;
  const ca = reader.material(cluster.value, "certificate-authority", cluster.path);
  const cert = reader.material(user.value, "client-certificate", user.path);
  const key = reader.material(user.value, "client-key", user.path);
  if (cert !== undefined && key === undefined) throw reader.wrong(`${user.path}.client-key`, "is missing beside client-certificate");
  const servername = reader.text(cluster.value, "tls-server-name", cluster.path);
  const tls: TlsOptions = {
    insecure: cluster.value["insecure-skip-tls-verify"] === true,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(servername === undefined ? {} : { servername }),
  };
  return {
    server,
    tls,
    credentials: plugin?.credentials ?? userCredentials(reader, user, clock),
    namespace: reader.text(context.value, "namespace", context.path) ?? "default",
    ...(plugin === undefined ? {} : { pluginTls: plugin.tls }),
  };
}

type Fields = Record<string, unknown>;
type Entry = { value: Fields; path: string };

function userCredentials(reader: Reader, user: Entry, clock: Clock): Credentials {
  const text = (field: string): string | undefined => reader.text(user.value, field, user.path);
  const headers: Record<string, string> = {};
  const impersonated = text("as");
  if (impersonated !== undefined) headers["impersonate-user"] = impersonated;
  const tokenFile = text("tokenFile");
  if (tokenFile !== undefined) return tokenFileCredentials(reader.path(tokenFile), clock, headers);
  const token = text("token");
  const username = text("username");
  if (token !== undefined) headers["authorization"] = `Bearer ${token}`;
  else if (username !== undefined) headers["authorization"] = `Basic ${Buffer.from(`${username}:${text("password") ?? ""}`).toString("base64")}`;
  return fixedCredentials(headers);
}

type Reader = ReturnType<typeof openReader>;

/** Access to the file's fields, with errors that say which one is wrong. */
function openReader(file: string) {
  const wrong = (field: string, message: string, cause?: unknown): ConnectionError =>
    new ConnectionError("InvalidKubeconfig", file, field, message, cause === undefined ? undefined : { cause });
  const root = readFields();

  function readFields(): Fields {
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch (error) {
      throw wrong("", `cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown error"})`, error);
    }
    try {
      const value: unknown = parse(text);
      if (isFields(value)) return value;
    } catch (error) {
      throw wrong("", `is not YAML: ${(error as Error).message.split("\n", 1)[0] ?? ""}`, error);
    }
    throw wrong("", "is empty or not a mapping");
  }

  const path = (named: string): string => resolve(dirname(file), named);

  /** Absent and empty are the same to kubectl, and so here. */
  const text = (fields: Fields, field: string, at: string): string | undefined => {
    const value = fields[field];
    if (value === undefined || value === null || value === "") return undefined;
    if (typeof value !== "string") throw wrong(at === "" ? field : `${at}.${field}`, `must be text, not ${Array.isArray(value) ? "a list" : typeof value}`);
    return value;
  };

  return {
    root,
    wrong,
    path,
    text,
    required(fields: Fields, field: string, at: string): string {
      const value = text(fields, field, at);
      if (value === undefined) throw wrong(`${at}.${field}`, "is missing");
      return value;
    },
    /** The entry of a named list; `from` is the field that names it. */
    entry(list: string, field: string, name: string, from: string): Entry {
      const entries = root[list];
      if (!Array.isArray(entries)) throw wrong(list, "is missing or not a list");
      const index = entries.findIndex((entry: unknown) => isFields(entry) && entry["name"] === name);
      if (index < 0) throw wrong(from, `"${name}" is not in ${list}`);
      const value: unknown = (entries[index] as Fields)[field];
      if (!isFields(value)) throw wrong(`${list}[${index}].${field}`, "is missing or not a mapping");
      return { value, path: `${list}[${index}].${field}` };
    },
    /** PEM text, given inline in base64 (`<field>-data`) or as a file beside this one. */
    material(fields: Fields, field: string, at: string): string | undefined {
      const data = text(fields, `${field}-data`, at);
      if (data !== undefined) {
        const decoded = Buffer.from(data, "base64").toString("utf8");
        if (!decoded.includes("-----BEGIN ")) throw wrong(`${at}.${field}-data`, "is not base64 of PEM");
        return decoded;
      }
      const named = text(fields, field, at);
      if (named === undefined) return undefined;
      try {
        return readFileSync(path(named), "utf8");
      } catch (error) {
        throw wrong(`${at}.${field}`, `${path(named)} cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown error"})`, error);
      }
    },
  };
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
