import { describe, expect, it } from "vitest";
import type { Manifest } from "../chart/helm.ts";
import { grantsOf } from "./grants.ts";

const group = "rbac.authorization.k8s.io";
const role = (kind: string, name: string, ...rules: object[]): Manifest => ({ apiVersion: `${group}/v1`, kind, metadata: { name }, rules });
const binding = (kind: string, name: string, of: string, ...accounts: string[]): Manifest => ({ apiVersion: `${group}/v1`, kind, metadata: { name }, roleRef: { kind: of, name }, subjects: accounts.map((account) => ({ kind: "ServiceAccount", name: account })) });

describe("grantsOf", () => {
  it("is every verb of every resource, for each account of a binding", () => {
    const manifests = [
      role("ClusterRole", "a", { apiGroups: [""], resources: ["pods", "pods/status"], verbs: ["get", "patch"] }), binding("ClusterRoleBinding", "a", "ClusterRole", "one"),
      role("Role", "a", { apiGroups: ["projectcalico.org"], resources: ["ippools"], verbs: ["list"] }), binding("RoleBinding", "a", "Role", "one", "two"),
      role("ClusterRole", "unbound", { apiGroups: [""], resources: ["secrets"], verbs: ["get"] }),
    ];
    expect([...grantsOf(manifests)]).toEqual(["one get pods", "one patch pods", "one get pods/status", "one patch pods/status", "one list ippools.projectcalico.org", "two list ippools.projectcalico.org"]);
  });

  it("refuses a binding of a role that is somebody else's", () => {
    expect(() => grantsOf([binding("ClusterRoleBinding", "cluster-admin", "ClusterRole", "one")])).toThrow("the binding cluster-admin is of ClusterRole cluster-admin, which the chart does not have");
  });
});
