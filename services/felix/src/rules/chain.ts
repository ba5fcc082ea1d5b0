/** A rendered chain: its rules with the hashes by which a restart recognises them. */
import { createHash } from "node:crypto";
import type { BaseChain, Rule, SetElement, SetSpec, Statement } from "@calico/kernel";
import { RENDER_VERSION } from "./constants.ts";

export type ChainContent = { readonly base?: BaseChain; readonly rules: readonly Rule[]; /** One per rule. */ readonly hashes: readonly string[] };

/** A set written out in the rules themselves. */
export type LiteralSet = { readonly spec: SetSpec; readonly elements: readonly SetElement[] };

export function chainContent(rules: readonly Rule[], base?: BaseChain): ChainContent {
  const hashes = rules.map(ruleHash);
  return base === undefined ? { rules, hashes } : { base, rules, hashes };
}

export function rule(statements: readonly Statement[], comment?: string): Rule {
  return comment === undefined ? { statements } : { statements, comment };
}

/** 32 hexadecimal digits. */
function ruleHash(content: Rule): string {
  return createHash("sha256").update(JSON.stringify([RENDER_VERSION, content.statements, content.comment ?? ""])).digest("hex").slice(0, 32);
}
