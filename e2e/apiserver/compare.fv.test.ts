/** The embedded API server and Kubernetes' own answer the same requests alike, but for what known.ts lists. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasKubernetes } from "../lab/programs/kubernetes.ts";
import { CHAPTERS } from "./compare/chapters.ts";
import { compare, describeFound, type Found } from "./compare/compare.ts";
import { explains, KNOWN } from "./compare/known.ts";
import { startServers, type Servers } from "./compare/servers.ts";

describe.skipIf(!hasKubernetes())("the embedded API server beside Kubernetes' own", () => {
  let servers: Servers;
  const found: Found[] = [];
  beforeAll(async () => {
    servers = await startServers("apicmp");
  });
  afterAll(() => servers?.stop());

  // One after the other: a watch from now on waits until the server has told it of every other chapter's writes.
  it.each(CHAPTERS)("$name", async (chapter) => {
    const differences = await compare(chapter, servers);
    found.push(...differences);
    expect(differences.filter(({ step, difference }) => !KNOWN.some((known) => explains(known, step, difference))).map(describeFound)).toEqual([]);
  });

  it("shows every difference that is listed", () => {
    expect(KNOWN.filter((known) => !found.some(({ step, difference }) => explains(known, step, difference))).map(({ what }) => what)).toEqual([]);
  });
});
