/** What Kubernetes refuses is refused here: the comparison with it proves the words, this that they stay where it is not built. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestCluster, type TestCluster } from "./testing.ts";

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster[Symbol.asyncDispose]());

type Answer = { readonly status: number; readonly body: Record<string, unknown> & { details?: { name?: string; group?: string; kind?: string; causes?: { field?: string; reason: string }[] } }; readonly warning: string | null };

async function send(method: string, path: string, body?: unknown, contentType = "application/json"): Promise<Answer> {
  const response = await fetch(`${cluster.server.url}${path}`, { method, ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body), headers: { "content-type": contentType } }) });
  const text = await response.text();
  return { status: response.status, body: (text.startsWith("{") ? JSON.parse(text) : { text }) as Answer["body"], warning: response.headers.get("warning") };
}

const POOLS = "/apis/projectcalico.org/v3/ippools";
const MAPS = "/api/v1/namespaces/default/configmaps";
const PODS = "/api/v1/namespaces/default/pods";
const pool = (name: string, spec: object = {}, metadata: object = {}): object => ({ apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name, ...metadata }, spec: { cidr: "10.0.0.0/16", ...spec } });
const map = (name: string, metadata: object = {}): object => ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name, ...metadata } });
const pod = (name: string, spec: object = {}): object => ({ apiVersion: "v1", kind: "Pod", metadata: { name }, spec: { containers: [{ name: "c", image: "i" }], ...spec } });

describe("refusals", () => {
  it.each<[string, string, string, unknown, number, string, string[]]>([
    ["an unknown pool", "GET", `${POOLS}/none`, undefined, 404, "NotFound", []],
    ["a label that is none", "POST", MAPS, map("a", { labels: { "a b": "c" } }), 422, "Invalid", ["metadata.labels"]],
    ["a label's value that is none", "POST", POOLS, pool("a", {}, { labels: { a: "b c" } }), 422, "Invalid", ["metadata.labels"]],
    ["an annotation that is none", "POST", MAPS, map("a", { annotations: { "a b": "c" } }), 422, "Invalid", ["metadata.annotations"]],
    ["a finalizer without a prefix", "POST", MAPS, map("a", { finalizers: ["a"] }), 422, "Invalid", ["metadata.finalizers[0]"]],
    ["an owner without a uid", "POST", MAPS, map("a", { ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "a" }] }), 422, "Invalid", ["metadata.ownerReferences.uid"]],
    ["a namespace with a dot", "POST", "/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name: "a.b" } }, 422, "Invalid", ["metadata.name"]],
    ["a pool without a spec", "POST", POOLS, { apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name: "a" } }, 422, "Invalid", ["<nil>", "spec"]],
    ["another kind", "POST", POOLS, { apiVersion: "projectcalico.org/v3", kind: "BGPPeer", metadata: { name: "a" } }, 422, "Invalid", ["kind"]],
    ["another version", "POST", POOLS, { apiVersion: "projectcalico.org/v9", kind: "IPPool", metadata: { name: "a" } }, 400, "BadRequest", []],
    ["no kind", "POST", POOLS, { metadata: { name: "a" } }, 400, "BadRequest", []],
    ["nothing", "POST", POOLS, "", 400, "BadRequest", []],
    ["text where a number belongs", "POST", PODS, pod("a", { containers: "none" }), 400, "BadRequest", []],
    ["a pod without containers", "POST", PODS, pod("a", { containers: [] }), 422, "Invalid", ["spec.containers"]],
    ["two containers of one name", "POST", PODS, pod("a", { containers: [{ name: "c", image: "i" }, { name: "c", image: "i" }] }), 422, "Invalid", ["spec.containers[1].name"]],
    ["an unknown validation", "POST", `${POOLS}?fieldValidation=Perhaps`, pool("a"), 422, "Invalid", ["fieldValidation"]],
    ["an unknown dry run", "POST", `${POOLS}?dryRun=Some`, pool("a"), 422, "Invalid", ["dryRun"]],
    ["a put without a name", "PUT", POOLS, pool("a"), 400, "BadRequest", []],
    ["a write to all namespaces", "POST", "/api/v1/configmaps", map("a"), 405, "MethodNotAllowed", []],
    ["the end of a namespace that stays", "DELETE", "/api/v1/namespaces/default", undefined, 403, "Forbidden", []],
    ["an unknown way to delete", "DELETE", `${MAPS}/none`, { kind: "DeleteOptions", propagationPolicy: "Perhaps" }, 422, "Invalid", ["propagationPolicy"]],
    ["a limit in words", "GET", `${MAPS}?limit=two`, undefined, 400, "BadRequest", []],
    ["a match without a revision", "GET", `${MAPS}?resourceVersionMatch=Exact`, undefined, 422, "Invalid", ["resourceVersionMatch"]],
    ["a list with initial events", "GET", `${MAPS}?sendInitialEvents=true`, undefined, 422, "Invalid", ["sendInitialEvents"]],
    ["initial events without a match", "GET", `${MAPS}?watch=true&sendInitialEvents=true`, undefined, 422, "Invalid", ["resourceVersionMatch"]],
    ["a selector that is none", "GET", `${MAPS}?labelSelector=a%3Db%3Dc`, undefined, 400, "BadRequest", []],
    ["a field that nobody selects by", "GET", `${POOLS}?fieldSelector=spec.cidr%3Da`, undefined, 400, "BadRequest", []],
    ["an object of the future", "GET", "/api/v1/namespaces/default?resourceVersion=99999999", undefined, 504, "Timeout", [""]],
  ])("%s", async (_, method, path, body, status, reason, fields) => {
    const answer = await send(method, path, body);
    expect([answer.status, answer.body["reason"], (answer.body.details?.causes ?? []).map(({ field = "" }) => field).toSorted()]).toEqual([status, reason, fields]);
  });

  it("say which object they are about", async () => {
    expect((await send("GET", `${POOLS}/none`)).body.details).toEqual({ name: "none", group: "projectcalico.org", kind: "ippools" });
    expect((await send("GET", `${MAPS}/none`)).body.details).toEqual({ name: "none", kind: "configmaps" });
    expect((await send("POST", POOLS, pool("a", { vxlanMode: "Perhaps" }))).body.details).toMatchObject({ name: "a", group: "projectcalico.org", kind: "IPPool" });
  });

  it("are no Status where there is no path", async () => {
    for (const path of ["/nothing", "/apis/nothing/v1", "/apis/projectcalico.org/v9", "/apis/projectcalico.org/v3/nothings", "/apis/projectcalico.org/v3/namespaces/default/ippools"]) expect(await send("GET", path)).toMatchObject({ status: 404, body: { text: "404 page not found\n" } });
  });

  it("are of media types too", async () => {
    expect((await send("POST", POOLS, "x", "text/plain")).status).toBe(415);
    expect((await fetch(`${cluster.server.url}${POOLS}`, { headers: { accept: "image/png" } })).status).toBe(406);
  });

  it("a field that is not known is warned about", async () => {
    expect(await send("POST", `${POOLS}?dryRun=All`, pool("w", { blocksize: 26 }))).toMatchObject({ status: 201, warning: '299 - "unknown field \\"spec.blocksize\\""' });
    expect(await send("POST", `${POOLS}?dryRun=All&fieldValidation=Ignore`, pool("w", { blocksize: 26 }))).toMatchObject({ status: 201, warning: null });
  });

  it("a put of a pool needs a revision, of a core kind it does not", async () => {
    expect((await send("POST", POOLS, pool("r"))).status).toBe(201);
    expect((await send("PUT", `${POOLS}/r`, pool("r"))).body.details?.causes?.map(({ field }) => field)).toEqual(["metadata.resourceVersion"]);
    await send("POST", MAPS, map("r"));
    expect((await send("PUT", `${MAPS}/r`, map("r"))).status).toBe(200);
  });
});

describe("what goes", () => {
  it("a namespace takes nothing new while something holds it, and goes with the last object", async () => {
    await send("POST", "/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name: "end" } });
    const maps = "/api/v1/namespaces/end/configmaps";
    await send("POST", maps, map("held", { finalizers: ["example.org/a"] }));
    expect((await send("DELETE", "/api/v1/namespaces/end")).body).toMatchObject({ kind: "Namespace", status: { phase: "Terminating" } });
    expect((await send("POST", maps, map("new"))).body).toMatchObject({ code: 403, details: { causes: [{ reason: "NamespaceTerminating" }] } });
    expect((await send("PATCH", `${maps}/held`, { metadata: { finalizers: null } }, "application/merge-patch+json")).status).toBe(200);
    expect((await send("GET", "/api/v1/namespaces/end")).status).toBe(404);
  });

  it("a pod's grace can be shortened and not prolonged; who has finished has none", async () => {
    await send("POST", PODS, pod("graceful", { nodeName: "n", terminationGracePeriodSeconds: 20 }));
    const grace = async (options: object = {}): Promise<unknown> => ((await send("DELETE", `${PODS}/graceful`, { kind: "DeleteOptions", ...options })).body["metadata"] as Record<string, unknown>)["deletionGracePeriodSeconds"];
    expect([await grace(), await grace({ gracePeriodSeconds: 5 }), await grace({ gracePeriodSeconds: 50 })]).toEqual([20, 5, 5]);
    await send("PATCH", `${PODS}/graceful/status`, { status: { phase: "Succeeded" } }, "application/merge-patch+json");
    await send("DELETE", `${PODS}/graceful`);
    expect((await send("GET", `${PODS}/graceful`)).status).toBe(404);
  });

  it("a watch with its initial events says where they end, and shows what left its selector as it was", async () => {
    await send("POST", MAPS, map("shown", { labels: { watched: "yes" } }));
    const stream = await fetch(`${cluster.server.url}${MAPS}?watch=true&timeoutSeconds=1&labelSelector=watched&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`);
    await send("PATCH", `${MAPS}/shown`, { metadata: { labels: null } }, "application/merge-patch+json");
    const events = (await stream.text()).split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as { type: string; object: { metadata: { annotations?: object; labels?: object } } });
    expect(events.map(({ type, object: { metadata } }) => [type, metadata.annotations ?? metadata.labels])).toEqual([["ADDED", { watched: "yes" }], ["BOOKMARK", { "k8s.io/initial-events-end": "true" }], ["DELETED", { watched: "yes" }]]);
  });
});
