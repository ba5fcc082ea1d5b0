/** `policy eval`: reads manifests and probes, shows the verdicts. */
import type { Command } from "./arguments.ts";
import { readItems } from "./documents.ts";
import { readManifests } from "./manifests.ts";
import { answerProbes, isAnswered, readProbes, renderAnswers, type BadProbe, type ProbeAnswer } from "./policy-eval.ts";
import { printable } from "./printable.ts";
import { answerStaged, renderStaged } from "./staged.ts";
import { CommandError } from "./usage.ts";

/** Throws all that is wrong with the manifests: with a part of them the answers would mean nothing. What is wrong with probes it throws after the answers to the others. */
export function policyEval({ files, probes: file, staged, output }: Extract<Command, { verb: "policy eval" }>, say: (text: string) => void): void {
  const { items, problems } = readItems(files);
  const manifests = readManifests(items);
  refuse([...problems, ...manifests.problems]);
  const written = readItems([file]);
  refuse(written.problems);
  const [only, ...more] = written.items;
  const list = more.length === 0 && Array.isArray(only?.value) ? only.value : written.items.map(({ value }) => value);
  if (list.length === 0) throw new CommandError(`no probes in ${file}`);
  const probes = readProbes(list);
  const bad: string[] = [];
  const show = <Answer extends ProbeAnswer>(outcomes: (Answer | BadProbe)[], render: (outcomes: readonly (Answer | BadProbe)[]) => string): void => {
    say(output === "json" ? `${JSON.stringify(outcomes, null, 2)}\n` : render(outcomes));
    for (const [i, outcome] of outcomes.entries()) if (!isAnswered(outcome)) bad.push(`${file}: [${i}]${/^\w+:/.test(outcome.error) ? "." : ": "}${outcome.error}`);
  };
  if (staged) show(answerStaged(manifests, probes), renderStaged);
  else show(answerProbes(manifests, probes), renderAnswers);
  if (!staged && manifests.staged.length > 0) process.stderr.write(`${manifests.staged.length} staged policies are not in force; --staged shows what they would change\n`);
  if (manifests.passedOver.size > 0) process.stderr.write(`passed over, because policy does not depend on them: ${[...manifests.passedOver].map(([kind, count]) => `${count} ${printable(kind)}`).join(", ")}\n`);
  refuse(bad);
}

const MOST_SHOWN = 50;

function refuse(problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new CommandError([...problems.slice(0, MOST_SHOWN), ...(problems.length > MOST_SHOWN ? [`and ${problems.length - MOST_SHOWN} more`] : [])].join("\n"));
}
