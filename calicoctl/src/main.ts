/** calicoctl: parses, runs, ends with 0 (done), 1 (not done) or 2 (not understood). */
import { parseCommand } from "./arguments.ts";
import { printableLines } from "./printable.ts";
import { CommandError, USAGE, UsageError } from "./usage.ts";

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  const say = (text: string): void => void process.stdout.write(text);
  try {
    const command = parseCommand(argv);
    if (command.verb === "help") {
      say(USAGE);
      return 0;
    }
    if (command.verb === "policy eval") {
      (await import("./eval-command.ts")).policyEval(command, say);
      return 0;
    }
    // Loaded only now: help and mistakes are answered at once.
    const { get, patch, version, withDatastore, write } = await import("./commands.ts");
    await withDatastore(command.connection, async (datastore) => {
      switch (command.verb) {
        case "get": return get(command, datastore, say);
        case "patch": return patch(command, datastore, say);
        case "version": return version(datastore, say);
        case "ipam show": return (await import("./ipam-commands.ts")).ipamShow(command, datastore, say);
        case "ipam check": return (await import("./ipam-commands.ts")).ipamCheck(command, datastore, say);
        case "ipam release": return (await import("./ipam-commands.ts")).ipamRelease(command, datastore, say);
        case "node status": return (await import("./status-commands.ts")).nodeStatus(command, datastore, process.env, say);
        case "explain": return (await import("./explain-command.ts")).explain(command, datastore, process.env, say);
        case "policy status": return (await import("./status-commands.ts")).policyStatus(command, datastore, process.env, say);
        default: return write(command, datastore, say);
      }
    });
    return 0;
  } catch (error) {
    process.stderr.write(`${printableLines(error instanceof Error ? error.message : String(error))}\n`);
    if (error instanceof UsageError) return 2;
    if (!(error instanceof CommandError) && !(error instanceof Error && error.name === "DatastoreError")) process.stderr.write(`${printableLines(error instanceof Error ? (error.stack ?? "") : "")}\n`);
    return 1;
  }
}
