/** Where the rules of policies are in the table: in chains of their own, in blocks of several, or in both, as the lists lead to them. */
import type { ChainContent } from "../rules/chain.ts";
import type { Block, Leaves } from "../rules/policy-list.ts";
import type { NftTable } from "./nft-table.ts";

type Table = Pick<NftTable, "setChain">;

export class PolicyLeaves {
  /** By the chain that a policy has of its own. */
  readonly #rules = new Map<string, ChainContent>();
  readonly #asked = new Map<string, number>();
  readonly #blocks = new Map<string, { readonly block: Block; uses: number }>();
  /** Blocks that a policy is in. */
  readonly #blocksOf = new Map<string, Set<string>>();
  readonly #dirtyChains = new Set<string>();
  readonly #dirtyBlocks = new Set<string>();

  /** The rules of a policy; null: it has none. In force after `place`. */
  set(chain: string, content: ChainContent | null): void {
    if (content === null) this.#rules.delete(chain);
    else this.#rules.set(chain, content);
    this.#dirtyChains.add(chain);
    for (const block of this.#blocksOf.get(chain) ?? []) this.#dirtyBlocks.add(block);
  }

  /** One more chain leads to these; each wants a `release`. */
  acquire({ asks, blocks }: Leaves): void {
    for (const chain of asks) {
      this.#asked.set(chain, (this.#asked.get(chain) ?? 0) + 1);
      this.#dirtyChains.add(chain);
    }
    for (const block of blocks) {
      const held = this.#blocks.get(block.name);
      if (held !== undefined) {
        held.uses += 1;
        continue;
      }
      this.#blocks.set(block.name, { block, uses: 1 });
      this.#dirtyBlocks.add(block.name);
      for (const member of block.members) this.#blocksOf.set(member, (this.#blocksOf.get(member) ?? new Set()).add(block.name));
    }
  }

  release({ asks, blocks }: Leaves): void {
    for (const chain of asks) {
      const uses = (this.#asked.get(chain) ?? 0) - 1;
      if (uses > 0) this.#asked.set(chain, uses);
      else this.#asked.delete(chain);
      this.#dirtyChains.add(chain);
    }
    for (const { name } of blocks) {
      const held = this.#blocks.get(name);
      if (held === undefined) continue;
      held.uses -= 1;
      if (held.uses > 0) continue;
      this.#blocks.delete(name);
      this.#dirtyBlocks.add(name);
      for (const member of held.block.members) {
        const its = this.#blocksOf.get(member);
        its?.delete(name);
        if (its?.size === 0) this.#blocksOf.delete(member);
      }
    }
  }

  /** Tells the table which chains there are, and with which rules. */
  place(to: Table): void {
    for (const chain of this.#dirtyChains) to.setChain(chain, this.#asked.has(chain) ? (this.#rules.get(chain) ?? NO_RULES) : null);
    for (const name of this.#dirtyBlocks) {
      const held = this.#blocks.get(name);
      to.setChain(name, held === undefined ? null : joined(held.block.members.map((member) => this.#rules.get(member) ?? NO_RULES)));
    }
    this.#dirtyChains.clear();
    this.#dirtyBlocks.clear();
  }

  /** The chains with the rules of a policy. */
  placesOf(chain: string): string[] {
    return [...(this.#asked.has(chain) ? [chain] : []), ...(this.#blocksOf.get(chain) ?? [])];
  }

  /** Of which policies' own chains a chain has the rules. */
  membersOf(chain: string): readonly string[] {
    return this.#blocks.get(chain)?.block.members ?? [chain];
  }
}

const NO_RULES: ChainContent = { rules: [], hashes: [] };

function joined(parts: readonly ChainContent[]): ChainContent {
  return { rules: parts.flatMap(({ rules }) => rules), hashes: parts.flatMap(({ hashes }) => hashes) };
}
