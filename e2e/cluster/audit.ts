/** The API server's audit log: what a component asked, and what it was answered. */
import { readFileSync } from "node:fs";

export type Use = {
  /** ServiceAccount of calico-system. */
  readonly account: string;
  readonly group: string;
  /** With its subresource: "pods/status". */
  readonly resource: string;
  readonly verb: string;
  readonly name: string;
  readonly code: number;
};

type Entry = {
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly objectRef?: { readonly apiGroup?: string; readonly resource?: string; readonly subresource?: string; readonly name?: string };
  readonly responseStatus?: { readonly code?: number };
};

/** Every request for objects; one that asked for something else, such as the versions of the API, is passed over. */
export function readUses(file: string): Use[] {
  const lines = readFileSync(file, "utf8").split("\n").filter((line) => line.endsWith("}"));
  return lines.flatMap((line): Use[] => {
    const { verb, user, objectRef: of, responseStatus } = JSON.parse(line) as Entry;
    if (of?.resource === undefined) return [];
    const resource = of.subresource === undefined ? of.resource : `${of.resource}/${of.subresource}`;
    return [{ account: user.username.split(":").at(-1) ?? "", group: of.apiGroup ?? "", resource, verb, name: of.name ?? "", code: responseStatus?.code ?? 0 }];
  });
}
