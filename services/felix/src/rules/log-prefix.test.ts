import { expect, test } from "vitest";
import { logLimit, logPrefix, type RuleOwner } from "./log-prefix.ts";

const policy: RuleOwner = { tier: "default", kind: "NetworkPolicy", namespace: "shop", name: "deny" };

test.each<[string, RuleOwner, string]>([
  ["calico-packet", policy, "calico-packet: "],
  ["%t %k %n %p", policy, "default np deny shop/deny: "],
  ["%k %p", { ...policy, kind: "GlobalNetworkPolicy", namespace: "" }, "gnp deny: "],
  ["%t|%k", { tier: "", kind: "Profile", namespace: "", name: "kns.shop" }, "|pro: "],
  ["100%% %x", policy, "100%% %x: "],
  ["paquet refusé\n%n", policy, "paquet refus??deny: "],
  ["%n", { ...policy, name: "n".repeat(253) }, `${"n".repeat(125)}: `],
])("%s", (template, owner, prefix) => expect(logPrefix(template, owner)).toBe(prefix));

test.each([["", null], ["10/minute", { rate: 10, unitSeconds: 60 }], ["1/day", { rate: 1, unitSeconds: 86_400 }], ["0/second", null], ["10", null], ["10/week", null]])("limit %j", (text, limit) => expect(logLimit(text)).toEqual(limit));
