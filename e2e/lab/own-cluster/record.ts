/** What the lab did to a cluster that is not its own making: kept in the lab's folder, so that it can be taken back after a crash. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export type OwnRecord = {
  /** Of the cluster, for people. */
  readonly server: string;
  /** The chart was not there before: it goes with the lab. */
  readonly installed: boolean;
};

const fileIn = (dir: string): string => join(dir, "own-cluster.json");

export const writeRecord = (dir: string, record: OwnRecord): void => writeFileSync(fileIn(dir), JSON.stringify(record));

/** Null: the lab in the folder is of another kind, or none. */
export function readRecord(dir: string): OwnRecord | null {
  try {
    return JSON.parse(readFileSync(fileIn(dir), "utf8")) as OwnRecord;
  } catch {
    return null;
  }
}
