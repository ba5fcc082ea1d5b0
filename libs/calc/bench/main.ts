/** `npm run bench` in this package: everything; `npm run bench -- label-index` or `npm run bench -- snapshot [NAME...]` one of both. */
import { benchLabelIndex } from "./label-index.ts";
import { benchSnapshots } from "./snapshot.ts";

const [wanted, ...names] = process.argv.slice(2);
if (![undefined, "label-index", "snapshot", "--snapshot"].includes(wanted)) {
  process.stderr.write("usage: npm run bench -- [label-index | snapshot [NAME...]]\n");
  process.exit(2);
}
if (wanted !== "snapshot" && wanted !== "--snapshot") benchLabelIndex();
if (wanted !== "label-index") benchSnapshots(names, wanted === "--snapshot");
