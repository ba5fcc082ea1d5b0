import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DatastoreError } from "./errors.ts";
import { silentLog } from "./log.ts";
import { addressesOf, createServiceAddresses, type EndpointSlice } from "./service-addresses.ts";

const slice = (over: Partial<EndpointSlice>): EndpointSlice => ({ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", metadata: { name: "s" }, addressType: "IPv4", ports: [{ port: 5473 }], ...over });
const endpoint = (address: string, ready: boolean) => ({ addresses: [address], conditions: { ready } });

describe("addressesOf", () => {
  it("gives the endpoints that are ready, of both families, each once", () => {
    const slices = [
      slice({ endpoints: [endpoint("10.0.0.3", false), endpoint("10.0.0.2", true), endpoint("10.0.0.1", true)] }),
      slice({ addressType: "IPv6", endpoints: [endpoint("fd00::1", true)] }),
      slice({ endpoints: [endpoint("10.0.0.2", true)] }),
    ];
    expect(addressesOf(slices)).toEqual(["10.0.0.1:5473", "10.0.0.2:5473", "[fd00::1]:5473"]);
  });

  it("gives all when none is ready", () => {
    expect(addressesOf([slice({ endpoints: [endpoint("10.0.0.3", false), endpoint("10.0.0.2", false)] })])).toEqual(["10.0.0.2:5473", "10.0.0.3:5473"]);
  });

  it("passes over names, missing ports and empty slices", () => {
    expect(addressesOf([slice({ addressType: "FQDN", endpoints: [endpoint("typha.example", true)] }), slice({ endpoints: null }), slice({ ports: [{}], endpoints: [endpoint("10.0.0.1", true)] })])).toEqual([]);
  });
});

describe("createServiceAddresses", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "addresses-"));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  it("uses the last answer while the API server is away, also in a later run", async () => {
    let answer: () => EndpointSlice[] = () => [slice({ endpoints: [endpoint("10.0.0.1", true)] })];
    const asked: unknown[] = [];
    const create = () => createServiceAddresses({
      datastore: {
        list: (_: unknown, options: unknown) => {
          asked.push(options);
          return Promise.resolve().then(() => ({ items: answer() as never[], resourceVersion: "1" }));
        },
      },
      namespace: "calico-system", service: "calico-typha", cacheFile: join(dir, "lib", "typha.json"), log: silentLog,
    });
    expect(await create()()).toEqual(["10.0.0.1:5473"]);
    expect(asked).toEqual([{ namespace: "calico-system", labelSelector: "kubernetes.io/service-name=calico-typha" }]);
    answer = () => {
      throw new DatastoreError("Unavailable", "away");
    };
    expect(await create()()).toEqual(["10.0.0.1:5473"]);
    answer = () => [];
    expect(await create()()).toEqual(["10.0.0.1:5473"]);
    answer = () => [slice({ endpoints: [endpoint("10.0.0.9", true)] })];
    expect(await create()()).toEqual(["10.0.0.9:5473"]);
  });
});
