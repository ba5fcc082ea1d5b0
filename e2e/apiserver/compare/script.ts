/** Requests to replay, written down as tables: chapters of steps, in order. */

/** A request, and how its answer is read. Anywhere in path and body, "{{id.metadata.uid}}" stands for what an earlier step of the chapter was answered. */
export type Step = {
  /** Unique in its chapter. */
  readonly id: string;
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** An object is sent as JSON, a text as it is. */
  readonly body?: unknown;
  /** Asked again until it is answered so: what Kubernetes' controllers bring about takes a moment. */
  readonly until?: number;
  /** The answer is read in this form; JSON when absent. */
  readonly as?: "text" | "stream" | "status-only";
  /** The part of the body that is compared; all of it when absent. */
  readonly view?: (body: unknown) => unknown;
};

export type Chapter = { readonly name: string; readonly steps: readonly Step[] };

export const chapter = (name: string, steps: readonly Step[]): Chapter => ({ name, steps });

const json = { "content-type": "application/json" };

export const PATCHES = { merge: "application/merge-patch+json", json: "application/json-patch+json", strategic: "application/strategic-merge-patch+json", apply: "application/apply-patch+yaml" } as const;

export const get = (id: string, path: string, more: Partial<Step> = {}): Step => ({ id, method: "GET", path, ...more });
export const post = (id: string, path: string, body: unknown, more: Partial<Step> = {}): Step => ({ id, method: "POST", path, headers: json, body, ...more });
export const put = (id: string, path: string, body: unknown, more: Partial<Step> = {}): Step => ({ id, method: "PUT", path, headers: json, body, ...more });
export const patch = (id: string, kind: keyof typeof PATCHES, path: string, body: unknown, more: Partial<Step> = {}): Step => ({ id, method: "PATCH", path, headers: { "content-type": PATCHES[kind] }, body, ...more });
export const remove = (id: string, path: string, options?: object, more: Partial<Step> = {}): Step => ({ id, method: "DELETE", path, ...(options === undefined ? {} : { headers: json, body: { apiVersion: "v1", kind: "DeleteOptions", ...options } }), ...more });
/** Everything that a watch tells within its time. */
export const watch = (id: string, path: string, query: string, more: Partial<Step> = {}): Step => ({ id, method: "GET", path: `${path}?watch=true&timeoutSeconds=1&${query}`, as: "stream", ...more });

export const CALICO = "/apis/projectcalico.org/v3";
export const CORE = "/api/v1";

export const calico = (kind: string, name: string, spec: object, metadata: object = {}): object => ({ apiVersion: "projectcalico.org/v3", kind, metadata: { name, ...metadata }, spec });
export const core = (kind: string, name: string, rest: object = {}, metadata: object = {}): object => ({ apiVersion: "v1", kind, metadata: { name, ...metadata }, ...rest });
export const pod = (name: string, spec: object = {}, metadata: object = {}): object => core("Pod", name, { spec: { containers: [{ name: "c", image: "i" }], ...spec } }, metadata);

/** A namespace of the chapter's own, with the account without which Kubernetes takes no pods. */
export const namespaceSteps = (name: string): Step[] => [
  post(`namespace ${name}`, `${CORE}/namespaces`, core("Namespace", name)),
  get(`account of ${name}`, `${CORE}/namespaces/${name}/serviceaccounts/default`, { until: 200 }),
];
