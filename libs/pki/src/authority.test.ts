import { X509Certificate } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createAuthority, expiryOf, isSignedBy, openAuthority } from "./authority.ts";

const now = new Date("2026-03-01T12:00:00Z");
const DAY_MS = 86_400_000;
const request = { commonName: "typha-server", dns: ["typha-server", "calico-typha"], ip: ["10.0.0.1"], now, lifetimeMs: DAY_MS };

describe("an authority", () => {
  it("signs what names its owner, for the time asked for", async () => {
    const authority = await createAuthority({ commonName: "calico-ca", now, lifetimeMs: 10 * DAY_MS });
    const { certificate, key } = await authority.issue(request);
    const parsed = new X509Certificate(certificate);
    expect([parsed.subject, parsed.issuer, parsed.subjectAltName, parsed.ca]).toEqual(["CN=typha-server", "CN=calico-ca", "DNS:typha-server, DNS:calico-typha, IP Address:10.0.0.1", false]);
    expect(expiryOf(certificate)).toEqual({ from: Date.parse("2026-03-01T11:59:00Z"), to: Date.parse("2026-03-02T12:00:00Z") });
    expect(isSignedBy(certificate, authority.certificate)).toBe(true);
    expect(key).toMatch(/^-----BEGIN PRIVATE KEY-----\n[\s\S]+\n-----END PRIVATE KEY-----\n$/);
  });

  it("goes on when it is opened again", async () => {
    const first = await createAuthority({ commonName: "calico-ca", now, lifetimeMs: DAY_MS });
    const again = await openAuthority({ certificate: first.certificate, key: first.key });
    const { certificate } = await again.issue(request);
    expect(isSignedBy(certificate, first.certificate)).toBe(true);
  });

  it("is not taken for another one of its name", async () => {
    const [one, other] = await Promise.all([1, 2].map(() => createAuthority({ commonName: "calico-ca", now, lifetimeMs: DAY_MS })));
    if (one === undefined || other === undefined) throw new Error("two were made");
    const { certificate } = await one.issue(request);
    expect([isSignedBy(certificate, one.certificate), isSignedBy(certificate, other.certificate)]).toEqual([true, false]);
  });
});

it("says that a text is no certificate", async () => {
  expect([expiryOf("hello"), isSignedBy("hello", "hello")]).toEqual([null, false]);
  await expect(openAuthority({ certificate: "hello", key: "hello" })).rejects.toThrow();
});
