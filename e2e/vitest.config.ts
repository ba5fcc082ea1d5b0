import { defineConfig } from "vitest/config";

/** What a test found is a list of sentences more often than not: a failure shows them, not how many there are. */
export default defineConfig({ test: { chaiConfig: { truncateThreshold: 800 } } });
