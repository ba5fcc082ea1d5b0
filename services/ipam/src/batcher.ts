/** Requests that arrive while one is served are served together: one write for all of them. */

type Waiting<Request, Result> = { readonly request: Request; readonly resolve: (result: Result) => void; readonly reject: (error: unknown) => void };

export interface Batcher<Request, Result> {
  /** Runs with whatever else is waiting. Rejects with what `serve` rejects with. */
  submit(request: Request): Promise<Result>;
  /** Runs `task` alone, between batches. */
  exclusive<T>(task: () => Promise<T>): Promise<T>;
}

/** `serve` gets a batch and answers in its order; it is never called twice at a time. */
export function createBatcher<Request, Result>(serve: (batch: readonly Request[]) => Promise<readonly Result[]>, maxBatch = 64): Batcher<Request, Result> {
  let waiting: Waiting<Request, Result>[] = [];
  let tail: Promise<unknown> = Promise.resolve();
  let scheduled = false;

  async function drain(): Promise<void> {
    scheduled = false;
    const batch = waiting.slice(0, maxBatch);
    waiting = waiting.slice(maxBatch);
    if (waiting.length > 0) schedule();
    try {
      const results = await serve(batch.map(({ request }) => request));
      for (const [i, { resolve, reject }] of batch.entries()) {
        const result = results[i];
        if (result === undefined) reject(new Error("a request was not answered"));
        else resolve(result);
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    tail = tail.then(drain);
  }

  return {
    submit: (request) => new Promise((resolve, reject) => {
      waiting.push({ request, resolve, reject });
      schedule();
    }),
    exclusive(task) {
      const result = tail.then(task);
      tail = result.then(() => undefined, () => undefined);
      return result;
    },
  };
}
