/** The port to where desired state is kept. */
import type { DatastoreError } from "./errors.ts";
import type { KubeObject, ObjectKey, ResourceType } from "./object.ts";

/** What every request takes: it ends with code `Aborted` when the signal fires. */
export interface RequestOptions {
  readonly signal?: AbortSignal;
}

export interface SelectOptions extends RequestOptions {
  /** Only this namespace; absent means all. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface ListOptions extends SelectOptions {
  /** Objects asked for at a time; 500 when absent. */
  readonly pageSize?: number;
  /** Accept any state at least as new as this resource version. Absent: the newest, read consistently. */
  readonly notOlderThan?: string;
}

export interface ListPage<T> {
  readonly items: T[];
  /** Resource version of the whole list; the same on every page. */
  readonly resourceVersion: string;
}

export interface WriteOptions extends RequestOptions {
  /** Recorded by the server as the writer. */
  readonly fieldManager?: string;
  /** Checks and defaults without storing. */
  readonly dryRun?: boolean;
  /** What the server does with fields it does not know; its own default (Warn) when absent. */
  readonly fieldValidation?: "Strict" | "Warn" | "Ignore";
}

export interface UpdateOptions extends WriteOptions {
  readonly subresource?: string;
}

/** `merge`: RFC 7396, `json`: RFC 6902 (an array of operations), `apply`: server-side apply (an object). */
export interface PatchOptions extends UpdateOptions {
  readonly type: "merge" | "json" | "apply";
  /** With `apply`: take over fields that another manager owns. */
  readonly force?: boolean;
}

export interface DeleteOptions extends RequestOptions {
  /** Refused with `Conflict` when the object is another one of the same name. */
  readonly uid?: string;
  /** Refused with `Conflict` when the object changed since. */
  readonly resourceVersion?: string;
  readonly propagation?: "Foreground" | "Background" | "Orphan";
  readonly gracePeriodSeconds?: number;
}

export interface TokenReviewResult {
  readonly authenticated: boolean;
  readonly username: string;
  readonly uid: string;
  readonly groups: readonly string[];
  /** For a token bound to a pod `authentication.kubernetes.io/node-name` names its node. */
  readonly extra: Readonly<Record<string, readonly string[]>>;
  readonly audiences: readonly string[];
  /** Why the token was not accepted, or empty. */
  readonly error: string;
}

export interface WatchOptions extends SelectOptions {
  /** Changes after this resource version. */
  readonly resourceVersion: string;
  /** After this time the server ends the watch. */
  readonly timeoutSeconds?: number;
}

export type WatchEvent<T> = { readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK"; readonly object: T };

/** Receives a watch. Calls come in the order of the changes; none comes after `onEnd` or `close`. */
export interface WatchSink<T> {
  onEvent(event: WatchEvent<T>): void;
  /** The watch is over: without an error when the server closed it in the ordinary way. */
  onEnd(error: DatastoreError | undefined): void;
}

export interface WatchHandle {
  /** Ends the watch without a call to `onEnd`. */
  close(): void;
}

/**
 * Objects of every kind, written by compare-and-swap. Every method rejects with a {@link DatastoreError}. Nothing is
 * tried again here (but a read whose idle connection the server had just closed): when and how often is the caller's choice.
 */
export interface Datastore {
  get<T extends KubeObject>(type: ResourceType, key: ObjectKey, opts?: RequestOptions): Promise<T>;
  /** All objects at one resource version, read page by page. */
  list<T extends KubeObject>(type: ResourceType, opts?: ListOptions): Promise<ListPage<T>>;
  /** The same, as the pages arrive. */
  listPages<T extends KubeObject>(type: ResourceType, opts?: ListOptions): AsyncIterable<ListPage<T>>;
  watch<T extends KubeObject>(type: ResourceType, opts: WatchOptions, sink: WatchSink<T>): WatchHandle;
  /** With a subresource (a pod's binding, a ServiceAccount's token) the object is what that subresource takes, named as the object it is about. */
  create<T extends KubeObject>(type: ResourceType, object: T, opts?: UpdateOptions): Promise<T>;
  /** Replaces the object (or its `status`); `Conflict` when `metadata.resourceVersion` is not the present one. */
  update<T extends KubeObject>(type: ResourceType, object: T, opts?: UpdateOptions): Promise<T>;
  patch<T extends KubeObject>(type: ResourceType, key: ObjectKey, patch: unknown, opts: PatchOptions): Promise<T>;
  delete(type: ResourceType, key: ObjectKey, opts?: DeleteOptions): Promise<void>;
  createTokenReview(token: string, audiences?: readonly string[], opts?: RequestOptions): Promise<TokenReviewResult>;
  /** Ends every request and watch under way with `Aborted`; later ones are refused the same way. */
  close(): void;
}
