/** Commands of one transaction, in the order in which the kernel carries them out. */
import type { BaseChain, Rule, SetElement, SetSpec } from "./types.ts";

export type Command =
  | { readonly do: "add-table"; readonly flags: number }
  | { readonly do: "delete-table" }
  | { readonly do: "add-chain"; readonly chain: string; readonly base?: BaseChain }
  | { readonly do: "flush-chain"; readonly chain: string }
  | { readonly do: "delete-chain"; readonly chain: string }
  /** `hash`: 32 hexadecimal digits that come back in a dump. */
  | { readonly do: "add-rule"; readonly chain: string; readonly rule: Rule; readonly hash?: string }
  | { readonly do: "add-set"; readonly set: SetSpec }
  | { readonly do: "delete-set"; readonly set: string }
  | { readonly do: "flush-set"; readonly set: string }
  | { readonly do: "add-elements"; readonly set: SetSpec; readonly elements: readonly SetElement[] }
  | { readonly do: "delete-elements"; readonly set: SetSpec; readonly elements: readonly SetElement[] };

/** A command in a few words, for errors. */
export function commandText(command: Command): string {
  switch (command.do) {
    case "add-table":
    case "delete-table": return command.do;
    case "add-rule": return `add-rule to ${command.chain}${command.rule.comment === undefined ? "" : ` (${command.rule.comment})`}`;
    case "add-chain":
    case "flush-chain":
    case "delete-chain": return `${command.do} ${command.chain}`;
    case "add-set": return `add-set ${command.set.name}`;
    case "delete-set":
    case "flush-set": return `${command.do} ${command.set}`;
    case "add-elements":
    case "delete-elements": return `${command.do} of ${command.set.name} (${command.elements.length})`;
  }
}
