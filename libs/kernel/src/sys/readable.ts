/** Events of file descriptors on Node's own event loop, by libuv's uv_poll. */
import { loadKoffi } from "./sys.ts";

const UV_READABLE = 1;
/** More than sizeof(uv_poll_t) in any libuv. */
const HANDLE_BYTES = 512;

type Uv = {
  readonly loop: unknown;
  readonly init: (loop: unknown, handle: Buffer, fd: number) => number;
  readonly start: (handle: Buffer, events: number, callback: unknown) => number;
  readonly stop: (handle: Buffer) => number;
  readonly close: (handle: Buffer, callback: unknown) => void;
  readonly register: (callback: (handle: unknown, status: number) => void) => unknown;
  readonly unregister: (callback: unknown) => void;
};
let uv: Uv | undefined;

/**
 * Calls `onReadable` whenever the descriptor has something to read, until it is disposed; dispose before closing the
 * descriptor. Main thread only: libuv's default loop belongs to it. The native callback does nothing but schedule.
 */
export function watchReadable(fd: number, onReadable: () => void): Disposable {
  const { loop, init, start, stop, close, register, unregister } = (uv ??= loadUv());
  const handle = Buffer.alloc(HANDLE_BYTES);
  let scheduled = false;
  let stopped = false;
  let over = false;
  const callback = register((_handle, status) => {
    // libuv stops watching a descriptor with an error: a netlink socket that had to drop messages has one until it is read.
    stopped ||= status < 0;
    if (scheduled || over) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      if (over) return;
      onReadable();
      if (!stopped) return;
      stopped = false;
      start(handle, UV_READABLE, callback);
    });
  });
  for (const result of [init(loop, handle, fd), start(handle, UV_READABLE, callback)]) {
    if (result < 0) throw new Error(`uv_poll failed with ${result}`);
  }
  return {
    [Symbol.dispose]() {
      if (over) return;
      over = true;
      stop(handle);
      close(handle, null);
      // libuv is through with the handle at the end of this turn of the loop, however long that takes: the handle must stay alive until then.
      setImmediate(() => {
        setImmediate(() => {
          handle.fill(0);
          unregister(callback);
        }).unref();
      }).unref();
    },
  };
}

function loadUv(): Uv {
  const koffi = loadKoffi();
  const self = koffi.load(null);
  const prototype = koffi.proto("void CalicoPollCallback(void*, int, int)");
  const pointer = koffi.pointer(prototype);
  return {
    loop: (self.func("void* uv_default_loop()") as unknown as () => unknown)(),
    init: self.func("int uv_poll_init(void*, void*, int)") as unknown as Uv["init"],
    start: self.func("int uv_poll_start(void*, int, CalicoPollCallback*)") as unknown as Uv["start"],
    stop: self.func("int uv_poll_stop(void*)") as unknown as Uv["stop"],
    close: self.func("void uv_close(void*, void*)") as unknown as Uv["close"],
    register: (callback) => koffi.register(callback, pointer),
    unregister: (callback) => koffi.unregister(callback as never),
  };
}
