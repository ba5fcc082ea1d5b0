import { describe, expect, it } from "vitest";
import { refusalOfKind } from "./unknown-kinds.ts";

describe("refusalOfKind", () => {
  it.each<[apiVersion: string, kind: string, field: string, message: string]>([
    ["projectcalico.org/v3", "GlobalNetworkPolicies", "kind", "is no kind of projectcalico.org/v3; did you mean GlobalNetworkPolicy?"],
    ["projectcalico.org/v3", "globalnetworkpolicy", "kind", "is no kind of projectcalico.org/v3; did you mean GlobalNetworkPolicy?"],
    ["projectcalico.org/v3", "Elephant", "kind", "is no kind of projectcalico.org/v3"],
    ["projectcalico.org/v3", "Profile", "kind", "is a view on a Namespace or a ServiceAccount; give that"],
    ["projectcalico.org/v3", "WorkloadEndpoint", "kind", "is a view on a Pod; give that"],
    ["projectcalico.org/v3", "Node", "kind", "is a view on a Node of Kubernetes (v1); give that"],
    ["projectcalico.org/v1", "NetworkPolicy", "apiVersion", "projectcalico.org/v1 is not read; use apiVersion: projectcalico.org/v3"],
    ["projectcalico.org", "NetworkPolicy", "apiVersion", "projectcalico.org is not read; use apiVersion: projectcalico.org/v3"],
    ["crd.projectcalico.org/v1", "GlobalNetworkPolicy", "apiVersion", "crd.projectcalico.org/v1 is not read; use apiVersion: projectcalico.org/v3"],
    ["crd.projectcalico.org/v3", "Tier", "apiVersion", "crd.projectcalico.org/v3 is not read; use apiVersion: projectcalico.org/v3"],
    ["networking.k8s.io/v1beta1", "NetworkPolicy", "apiVersion", "networking.k8s.io/v1beta1 is not read; use apiVersion: networking.k8s.io/v1"],
    ["extensions/v1beta1", "NetworkPolicy", "apiVersion", "extensions/v1beta1 is not read; use apiVersion: networking.k8s.io/v1"],
    ["networking.k8s.io/v1", "NetworkPolicies", "kind", "is no kind of networking.k8s.io/v1; did you mean NetworkPolicy?"],
    ["policy.networking.k8s.io/v1alpha1", "ClusterNetworkPolicy", "apiVersion", "policy.networking.k8s.io/v1alpha1 is not read; use apiVersion: policy.networking.k8s.io/v1alpha2"],
    ["policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", "kind", "is not enforced; ClusterNetworkPolicy has taken its place"],
    ["policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy", "kind", "is not enforced; a ClusterNetworkPolicy of tier Baseline has taken its place"],
    ["policy.networking.k8s.io/v1alpha2", "ClusterPolicy", "kind", "is no kind of policy.networking.k8s.io/v1alpha2"],
    ["discovery.k8s.io/v1beta1", "EndpointSlice", "apiVersion", "discovery.k8s.io/v1beta1 is not read; use apiVersion: discovery.k8s.io/v1"],
  ])("%s %s: %s", (apiVersion, kind, field, message) => expect(refusalOfKind({ apiVersion, kind })).toEqual({ field, message }));

  it.each([["projectcalico.org/v3", "IPPool"], ["networking.k8s.io/v1", "Ingress"], ["extensions/v1beta1", "Ingress"], ["apps/v1", "Deployment"], ["v1", "ConfigMap"], ["networking.k8s.io/v1", "IngressClass"], ["operator.tigera.io/v1", "Installation"], ["constructor/v1", "toString"]])("%s %s is passed over", (apiVersion, kind) => {
    expect(refusalOfKind({ apiVersion, kind })).toBeNull();
  });
});
