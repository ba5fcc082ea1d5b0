/** What is known of each container on this node: in memory, and in one small file per container, replaced atomically. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
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
  /** Whose an interface in a namespace is; null: nobody's that is known. */
  ownerOf(netns: string, ifname: string): ContainerRecord | null;
  save(record: ContainerRecord): void;
  remove(containerId: string, ifname: string): void;
  list(): ContainerRecord[];
}

/** Reads what is there. Container ids and interface names were checked: they have no "/" and are no dots alone. */
export function createContainerStore(dir: string): ContainerStore {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const fileOf = (containerId: string, ifname: string): string => `${containerId}@${ifname}.json`;
  /** By file name, in the order in which they were saved. */
  const records = new Map(readdirSync(dir).filter((name) => name.endsWith(".json")).flatMap((name) => {
    const record = read(join(dir, name));
    return record === null ? [] : [{ name, record, savedAt: statSync(join(dir, name), { bigint: true }).mtimeNs }];
  }).sort((a, b) => Number(a.savedAt - b.savedAt)).map(({ name, record }) => [name, record] as const));
  /** Containers by what they have, namespace and interface: of two, the one that was saved last. */
  const owners = new Map([...records.values()].map((record) => [ownedBy(record), record]));

  function forget(file: string): void {
    const record = records.get(file);
    if (record === undefined) return;
    records.delete(file);
    if (owners.get(ownedBy(record)) === record) owners.delete(ownedBy(record));
  }

  return {
    load: (containerId, ifname) => records.get(fileOf(containerId, ifname)) ?? null,
    ownerOf: (netns, ifname) => owners.get(ownedBy({ netns, ifname })) ?? null,
    save(record) {
      const file = fileOf(record.containerId, record.ifname);
      const path = join(dir, file);
      writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
      renameSync(`${path}.new`, path);
      forget(file);
      records.set(file, record);
      owners.set(ownedBy(record), record);
    },
    remove(containerId, ifname) {
      const file = fileOf(containerId, ifname);
      rmSync(join(dir, file), { force: true });
      forget(file);
    },
    list: () => [...records.values()],
  };
}

function ownedBy({ netns, ifname }: Pick<ContainerRecord, "netns" | "ifname">): string {
  return `${netns} ${ifname}`;
}

function read(path: string): ContainerRecord | null {
  try {
    return schema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return null;
  }
}
