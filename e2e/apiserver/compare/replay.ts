/** Sends the steps of a chapter to one server and keeps what it answered. */
import { untilTrue } from "../../lab/wait.ts";
import type { Answer, Client } from "./client.ts";
import type { Chapter, Step } from "./script.ts";

/** What a server answered: JSON, events of a stream, or text. */
export type Reply = { readonly status: number; readonly contentType: string; readonly warnings: readonly string[]; readonly body: unknown };

const UNTIL_MS = 30_000;

/** The replies by the steps' names. */
export async function replay({ name, steps }: Chapter, client: Client): Promise<Map<string, Reply>> {
  const replies = new Map<string, Reply>();
  for (const step of steps) {
    if (replies.has(step.id)) throw new Error(`${name} has two steps "${step.id}"`);
    replies.set(step.id, read(step, await answerTo(step, replies, client)));
  }
  return replies;
}

async function answerTo(step: Step, replies: ReadonlyMap<string, Reply>, client: Client): Promise<Answer> {
  const { method, path, headers, body, until } = step;
  const text = body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body);
  const exchange = { method, path: filledIn(path, replies, encodeURIComponent), ...(headers === undefined ? {} : { headers: Object.fromEntries(Object.entries(headers).map(([key, value]) => [key, filledIn(value, replies)])) }), ...(text === undefined ? {} : { body: filledIn(text, replies) }) };
  let answer = await client.send(exchange).catch((error: unknown): Answer => ({ status: 0, contentType: "", warnings: [], text: `no answer: ${(error as Error).message}` }));
  if (until === undefined) return answer;
  await untilTrue(() => `${step.id} to be answered with ${until}, not ${answer.status} ${answer.text.slice(0, 300)}`, async () => {
    if (answer.status !== until) answer = await client.send(exchange);
    return answer.status === until;
  }, UNTIL_MS);
  return answer;
}

/** The text with every "{{id.path}}" replaced by what that step was answered. Throws when it was answered nothing there. */
export function filledIn(text: string, replies: ReadonlyMap<string, Reply>, encode: (value: string) => string = (value) => value): string {
  return text.replaceAll(/\{\{([^.}]+)\.([^}]+)\}\}/g, (_, id: string, path: string) => {
    let at: unknown = replies.get(id)?.body;
    for (const key of path.split(".")) at = typeof at === "object" && at !== null ? (at as Record<string, unknown>)[key] : undefined;
    if (typeof at !== "string" && typeof at !== "number") throw new Error(`nothing was answered at {{${id}.${path}}}: ${JSON.stringify(replies.get(id))}`);
    return encode(String(at));
  });
}

function read({ as, method }: Step, { status, contentType, warnings, text }: Answer): Reply {
  const base = { status, contentType: contentType.split(";")[0] ?? "", warnings };
  if (as === "status-only") return { ...base, warnings: [], contentType: "", body: null };
  const isJson = base.contentType === "application/json";
  const isStream = as === "stream" && status === 200 && method === "GET";
  // A watch may end before its first event or bookmark.
  if (as === "text" || !isJson || (text === "" && !isStream)) return { ...base, body: text };
  if (isStream) return { ...base, body: text.split("\n").filter((line) => line !== "").map((line): unknown => JSON.parse(line)) };
  return { ...base, body: JSON.parse(text) as unknown };
}
