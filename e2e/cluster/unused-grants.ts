/** Permissions that the life of `rbac.e2e.test.ts` does not use, and why they are there all the same. The reason stands beside the rule too. */

export type UnusedGrant = {
  /** As in `grants.ts`. */
  readonly permission: string;
  /** "never": such a request does not show, and one that does makes the entry superfluous. "race": two programs must do something at once. */
  readonly used: "never" | "race";
  /** Word by word a part of a comment in `source`. */
  readonly reason: string;
  /** Below charts/calico. */
  readonly source: string;
};

export const unusedGrants: readonly UnusedGrant[] = [
  {
    // The request is a patch; that it also needs this verb is seen by the definition that the upgrade makes again.
    permission: "calico-prepare create customresourcedefinitions.apiextensions.k8s.io",
    used: "never",
    reason: "A server-side apply of what may be missing is a create",
    source: "templates/prepare.yaml",
  },
  {
    permission: "calico-kube-controllers update ipamhandles.projectcalico.org",
    used: "race",
    reason: "A handle that is missing is made, or updated when its node was faster",
    source: "files/rbac.yaml",
  },
];
