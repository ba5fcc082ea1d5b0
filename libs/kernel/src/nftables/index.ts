/** nftables as data, and its transactions. */
export * from "./types.ts";
export { commandText, type Command } from "./transaction.ts";
export { elementText, keyType } from "./elements.ts";
export { setFlags } from "./encode.ts";
export { openNftables, TransactionError, type Generation, type HookedChain, type Nftables } from "./nftables.ts";
