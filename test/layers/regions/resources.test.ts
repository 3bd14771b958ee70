/** Resources that end with a region: files, sockets, handles, disposables, in reverse order. */
import assert from "node:assert/strict";
import { closeSync, fstatSync, openSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { arena, enter, openRegion, type Region } from "#src/layers/index.js";

const here = fileURLToPath(import.meta.url);

function disposable(order: string[], name: string): Disposable {
  return { [Symbol.dispose]: () => void order.push(name) };
}

function asyncDisposable(order: string[], name: string): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      await turn();
      order.push(name);
    },
  };
}

test("resources end in reverse order, before the memory", () => {
  const order: string[] = [];
  enter(arena, (region) => {
    const ptr = region.malloc(10);
    region.u8[ptr] = 7;
    region.defer(() => order.push(`byte ${region.u8[ptr]}`));
    assert.equal(
      region.adopt("handle", (value) => order.push(value)),
      "handle",
    );
    const value = disposable(order, "disposable");
    assert.equal(region.use(value), value);
    assert.equal(region.use(null), null);
    assert.equal(region.use(undefined), undefined);
  });
  assert.deepEqual(order, ["disposable", "handle", "byte 7"]);
});

test("resources end after a throw, and all of them when one throws", () => {
  const order: string[] = [];
  const [body, first, last] = ["body", "first", "last"].map((name) => new Error(name));
  const run = (fail: boolean) => {
    enter(arena, (region) => {
      region.use(disposable(order, "a"));
      region.defer(() => {
        throw last;
      });
      region.use(disposable(order, "b"));
      region.defer(() => {
        throw first;
      });
      if (fail) throw body;
    });
  };
  const check = (error: unknown, chain: unknown[]) => {
    for (const expected of chain.slice(0, -1)) {
      const { name, error: latest, suppressed } = error as Record<string, unknown>;
      assert.equal(name, "SuppressedError");
      assert.equal(latest, expected);
      error = suppressed;
    }
    assert.equal(error, chain.at(-1));
    return true;
  };
  assert.throws(
    () => run(false),
    (error) => check(error, [last, first]),
  );
  assert.throws(
    () => run(true),
    (error) => check(error, [last, first, body]),
  );
  assert.deepEqual(order, ["b", "a", "b", "a"]);
});

test("async resources are waited for, one after the other, in an async scope", async () => {
  const order: string[] = [];
  await enter(arena, async (region) => {
    region.use(disposable(order, "first"));
    region.use(asyncDisposable(order, "second"));
    region.adoptAsync("third", async (value) => {
      await turn();
      order.push(value);
    });
    region.deferAsync(() => void order.push("fourth"));
    await turn();
  });
  assert.deepEqual(order, ["fourth", "third", "second", "first"]);
  const mistake = new Error("mine");
  const rejected = enter(arena, async (region) => {
    region.useAsync(asyncDisposable(order, "fifth"));
    throw mistake;
  });
  await assert.rejects(rejected, (error) => error === mistake);
  assert.equal(order.at(-1), "fifth");
});

test("await using ends a region with its async resources", async () => {
  const order: string[] = [];
  {
    await using region = openRegion(arena);
    region.use(asyncDisposable(order, "async"));
    region.useAsync(disposable(order, "sync"));
    region.malloc(10);
  }
  assert.deepEqual(order, ["sync", "async"]);
});

test("an async resource that rejects does not prevent the others from ending", async () => {
  const order: string[] = [];
  const region = openRegion(arena);
  region.use(asyncDisposable(order, "other"));
  region.deferAsync(() => Promise.reject(new Error("no")));
  await assert.rejects(region.destroyAsync(), { message: "no" });
  assert.deepEqual(order, ["other"]);
});

test("destroy begins the end of async resources, and reports that it does not wait", async () => {
  const order: string[] = [];
  const run = () =>
    enter(arena, (region) => void region.use(asyncDisposable(order, "late")), { label: "sync" });
  const message = 'region "sync" has async resources: end it by destroyAsync or await using';
  assert.throws(run, { name: "LayerError", code: "ERR_ASYNC_RESOURCE", message });
  await turn();
  assert.deepEqual(order, ["late"]);
});

test("resources that cannot be ended are refused", () => {
  enter(arena, (region) => {
    const message = "use: the resource has neither Symbol.dispose nor Symbol.asyncDispose";
    assert.throws(() => region.use({} as never), { name: "TypeError", message });
    const callback = "defer: the callback must be a function";
    assert.throws(() => region.defer(1 as never), { name: "TypeError", message: callback });
  });
});

test("files and sockets close with the region, also after a throw", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  const { port } = server.address() as { port: number };
  let fd = 0;
  let file: FileHandle | undefined;
  let closed = "";
  const scope = async (region: Region) => {
    fd = region.adopt(openSync(here, "r"), closeSync);
    file = region.useAsync(await open(here));
    region.adoptAsync(server, (it) => new Promise<void>((done) => it.close(() => done())));
    const socket = connect(port, "127.0.0.1");
    await new Promise((done) => socket.once("connect", done));
    region.adoptAsync(socket, (it) => {
      const gone = new Promise<void>((done) => it.once("close", () => done()));
      it.destroy();
      return gone.then(() => {
        closed += `socket, file ${file?.fd === -1 ? "too" : "still open"}`;
      });
    });
    assert.ok(fstatSync(fd).isFile());
    throw new Error("on the way");
  };
  await assert.rejects(enter(arena, scope), { message: "on the way" });
  assert.equal(closed, "socket, file still open");
  assert.equal(file?.fd, -1);
  assert.equal(server.listening, false);
  assert.throws(() => fstatSync(fd), { code: "EBADF" });
});

/** The part of DisposableStack that the test needs, for engines that do not have it. */
class Stack implements Disposable {
  readonly #values: Disposable[] = [];
  use<T extends Disposable>(value: T): T {
    this.#values.push(value);
    return value;
  }
  [Symbol.dispose](): void {
    for (const value of this.#values.reverse()) value[Symbol.dispose]();
  }
}

test("a region goes on a DisposableStack, and a DisposableStack on a region", (t) => {
  const native = typeof DisposableStack === "function";
  if (!native) t.diagnostic("this engine has no DisposableStack: a replacement is used");
  const make = () => (native ? new DisposableStack() : new Stack()) as Stack;
  const order: string[] = [];
  const outer = make();
  const region = outer.use(openRegion(arena));
  const inner = region.use(make());
  inner.use(disposable(order, "inner"));
  region.defer(() => order.push("region"));
  outer.use(disposable(order, "outer"));
  outer[Symbol.dispose]();
  assert.deepEqual(order, ["outer", "region", "inner"]);
  assert.ok(region.ended);
});
