/** `npm run images`. */
import { parseArguments, USAGE, UsageError } from "./arguments.ts";
import { buildImages, type BuiltImage } from "./build.ts";
import { NoBuilder } from "./builder.ts";

process.exit(await main(process.argv.slice(2)));

async function main(argv: readonly string[]): Promise<number> {
  try {
    const command = parseArguments(argv);
    if (command.verb === "help") {
      process.stdout.write(`${USAGE}\n`);
      return 0;
    }
    const images = await buildImages({ ...command.options, onProgress: (line) => void process.stderr.write(`images: ${line}\n`) });
    process.stdout.write(command.json ? `${JSON.stringify(images, null, 2)}\n` : renderTable(images));
    return 0;
  } catch (error) {
    process.stderr.write(`images: ${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof UsageError || error instanceof NoBuilder ? 2 : 1;
  }
}

function renderTable(images: readonly BuiltImage[]): string {
  const width = Math.max(...images.map(({ reference }) => reference.length));
  const rows = images.map(({ reference, imageId, sizeBytes }) => `${reference.padEnd(width)}  ${imageId.slice(0, 12)}${sizeBytes === 0 ? "" : `  ${String(Math.round(sizeBytes / 1e6)).padStart(4)} MB`}\n`);
  const archive = images[0]?.archive ?? null;
  return `${rows.join("")}${archive === null ? "" : `in ${archive}\n`}`;
}
