/** For tests: network namespaces that go away, and a judge of rules. */
export { createTestNetns, type TestNetns } from "./netns.ts";
export * from "./machine/index.ts";

/** Resolves when the condition holds; rejects after the time. */
export async function eventually(what: string, condition: () => boolean, timeoutMs = 5_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
