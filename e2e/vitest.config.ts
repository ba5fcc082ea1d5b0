/**
 * What a test found is a list of sentences more often than not: a failure shows them, not how many there are. What a test
 * waits for has a deadline of its own (lab/wait.ts); the limit of a whole test only ends one that hangs.
 */
const LIMIT_MS = 900_000;
export default { test: { chaiConfig: { truncateThreshold: 800 }, testTimeout: LIMIT_MS, hookTimeout: LIMIT_MS } };
