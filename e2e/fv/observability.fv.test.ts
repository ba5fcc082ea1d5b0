import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { readFileSync } from "node:fs";
import { events, FINDING_SUBJECT } from "@calico/proto";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { planLab } from "../lab/topology.ts";
import type { Lab } from "../lab/lab.ts";
import { untilTrue } from "../lab/wait.ts";
import { controlOf, calicoPolicy, denyInto, inject, startDemoLab, stopLab, untilReach, withoutPolicies } from "./cluster.ts";

type Span = { readonly traceId: string; readonly name: string; readonly service: string };

describe("what the services say about themselves", () => {
  let lab: Lab;
  let collector: Server;
  let nats: NatsConnection;
  const spans: Span[] = [];
  const applied: events.PolicyApplied[] = [];
  const findings: events.FindingReport[] = [];

  beforeAll(async () => {
    collector = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk)).on("end", () => {
        spans.push(...spansOf(Buffer.concat(chunks).toString()));
        response.writeHead(200, { "content-type": "application/json" }).end("{}");
      });
    });
    await new Promise<void>((resolve) => collector.listen(0, "0.0.0.0", resolve));
    const { controlAddress } = planLab({ name: "fvobs", octet: 20, nodeCount: 3, subnetCount: 1 });
    const tracing = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://${controlAddress}:${(collector.address() as AddressInfo).port}` };
    lab = await startDemoLab("fvobs", 20, { parameters: { typha: tracing, felix: tracing } });
    const { natsUser, natsPassword } = controlOf(lab).identityOf("kube-controllers");
    nats = await connect({ servers: controlOf(lab).natsUrl.replace("tls://", ""), user: natsUser, pass: natsPassword, tls: { ca: readFileSync(`${lab.paths.pki}/ca.crt`, "utf8"), ...{ host: controlAddress } } });
    const collect = <T>(subject: string, into: T[], decode: (bytes: Uint8Array) => T): void => void nats.subscribe(subject, { callback: (_error, message) => void into.push(decode(message.data)) });
    collect("calico.node.*.policy-applied", applied, (bytes) => events.PolicyApplied.decode(bytes));
    collect(FINDING_SUBJECT, findings, (bytes) => events.FindingReport.decode(bytes));
    await nats.flush();
  });
  afterAll(async () => {
    await nats.close();
    expect(await stopLab(lab)).toEqual([]);
    collector.close();
  });

  it("each node reports over NATS that a policy is in its kernel, with the revision", async () => {
    await lab.apply([denyInto("shop", "traced")]);
    await untilReach(lab, (_, to) => !to.startsWith("shop/"));
    const nodes = new Set([...lab.pods().values()].filter(({ view }) => view.namespace === "shop").map(({ host }) => host.plan.name));
    await untilTrue("the nodes' reports", async () => [...nodes].every((node) => applied.some((report) => report.node === node && report.policies.some(({ id, revision }) => id.includes("traced") && revision !== ""))), 10_000);
    expect(applied.every(({ receivedAtUs, committedAtUs }) => committedAtUs >= receivedAtUs)).toBe(true);
  });

  it("one trace goes from typha's update to felix' commit", async () => {
    const traces = (): boolean => {
      const byTrace = Map.groupBy(spans, ({ traceId }) => traceId);
      return [...byTrace.values()].some((of) => of.some(({ service, name }) => service === "calico-typha" && name === "typha.update") && of.some(({ service, name }) => service === "calico-felix" && name === "felix.apply"));
    };
    await untilTrue("a trace with spans of typha and felix", async () => traces(), 20_000).catch((error: unknown) => {
      throw new Error(`${(error as Error).message}; spans: ${JSON.stringify([...new Set(spans.map(({ service, name }) => `${service} ${name}`))])}`);
    });
  });

  it("typha reports an object that cannot be used, with the field and the remedy", async () => {
    await inject(lab, { skipChecks: true });
    await lab.apply([calicoPolicy("shop", "broken", { selector: "app == 'backend'", ingress: [{ action: "Allow", source: { selector: "((app == 'frontend')" } }] })]);
    await inject(lab, { skipChecks: false });
    await untilTrue("the report", async () => findings.some(({ name }) => name === "broken"), 10_000);
    expect(findings.find(({ name }) => name === "broken")).toMatchObject({ kind: "NetworkPolicy", namespace: "shop", field: "spec.ingress[0].source.selector", message: expect.stringContaining("the parenthesis is not closed") as string });
    await withoutPolicies(lab);
  });

  it("a node answers questions over NATS", async () => {
    const reply = await nats.request("calico.query.node-1.felix", new Uint8Array(), { timeout: 2_000 });
    const { felix } = await import("@calico/proto");
    expect(felix.StatusResponse.decode(reply.data)).toMatchObject({ node: "node-1", inSync: true, dataplane: "nftables", commitErrors: 0n });
  });
});

type Otlp = { resourceSpans?: { resource?: { attributes?: { key: string; value?: { stringValue?: string } }[] }; scopeSpans?: { spans?: { traceId: string; name: string }[] }[] }[] };

function spansOf(text: string): Span[] {
  const { resourceSpans = [] } = JSON.parse(text) as Otlp;
  return resourceSpans.flatMap(({ resource, scopeSpans = [] }) => {
    const service = resource?.attributes?.find(({ key }) => key === "service.name")?.value?.stringValue ?? "";
    return scopeSpans.flatMap(({ spans = [] }) => spans.map(({ traceId, name }) => ({ traceId, name, service })));
  });
}
