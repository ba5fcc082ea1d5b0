/** What is known of each container on this node: one small file per container, replaced atomically. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

const schema = z.object({
  containerId: z.string(), ifname: z.string(), netns: z.string(), namespace: z.string(), pod: z.string(), podUid: z.string(), hostInterface: z.string(), hostIndex: z.number(),
  podMac: z.string(), mtu: z.number(), addresses: z.array(z.string()),
});
export type ContainerRecord = Readonly<z.infer<typeof schema>>;

export interface ContainerStore {
  /** null when it is not known; a file that cannot be read counts as not known. */
  load(containerId: string, ifname: string): ContainerRecord | null;
  save(record: ContainerRecord): void;
  remove(containerId: string, ifname: string): void;
  list(): ContainerRecord[];
}

/** Container ids and interface names were checked: they have no "/" and are no dots alone. */
export function createContainerStore(dir: string): ContainerStore {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const pathOf = (containerId: string, ifname: string): string => join(dir, `${containerId}@${ifname}.json`);
  function read(path: string): ContainerRecord | null {
    try {
      return schema.parse(JSON.parse(readFileSync(path, "utf8")));
    } catch {
      return null;
    }
  }
  return {
    load: (containerId, ifname) => read(pathOf(containerId, ifname)),
    save(record) {
      const path = pathOf(record.containerId, record.ifname);
      writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
      renameSync(`${path}.new`, path);
    },
    remove: (containerId, ifname) => rmSync(pathOf(containerId, ifname), { force: true }),
    list: () => readdirSync(dir).filter((name) => name.endsWith(".json")).flatMap((name) => read(join(dir, name)) ?? []),
  };
}
