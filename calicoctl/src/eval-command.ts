/** `policy eval`: reads manifests and probes, shows the verdicts. */
import type { Command } from "./arguments.ts";
import { readItems } from "./documents.ts";
import { readManifests } from "./manifests.ts";
import { answerProbes, readProbes, renderAnswers } from "./policy-eval.ts";
import { CommandError } from "./usage.ts";

/** Throws all that is wrong with the manifests or the probes: with a part of them the answers would mean nothing. */
export function policyEval({ files, probes: file, output }: Extract<Command, { verb: "policy eval" }>, say: (text: string) => void): void {
  const { items, problems } = readItems(files);
  const manifests = readManifests(items);
  refuse([...problems, ...manifests.problems]);
  const written = readItems([file]);
  refuse(written.problems);
  const [only, ...more] = written.items;
  const list = more.length === 0 && Array.isArray(only?.value) ? only.value : written.items.map(({ value }) => value);
  const read = readProbes(list);
  refuse(read.problems.map((problem) => `${file}: ${problem}`));
  const { answers, problems: unanswered } = answerProbes(manifests, read.probes);
  refuse(unanswered.map((problem) => `${file}: ${problem}`));
  if (output === "json") say(`${JSON.stringify(answers, null, 2)}\n`);
  else say(renderAnswers(answers));
  if (manifests.passedOver.size > 0 && output !== "json") process.stderr.write(`passed over, because policy does not depend on them: ${[...manifests.passedOver].map(([kind, count]) => `${count} ${kind}`).join(", ")}\n`);
}

const MOST_SHOWN = 50;

function refuse(problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new CommandError([...problems.slice(0, MOST_SHOWN), ...(problems.length > MOST_SHOWN ? [`and ${problems.length - MOST_SHOWN} more`] : [])].join("\n"));
}
