// What the tests stand on: the trading API as a process, a proxy that can be cut, and a server that follows a script.

import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readdirSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { WebSocketServer, type WebSocket } from "ws";

/** The trading API as a process of its own, which can be killed and comes back at the same address. */
export class Program {
  port = 0;
  #child: ChildProcess | undefined;

  static async start(t: TestContext): Promise<Program> {
    const program = new Program();
    t.after(() => program.kill());
    await program.start();
    // Its prices begin a moment later than its address.
    const health = `http://127.0.0.1:${program.port}/api/v1/health`;
    for (let phase = "starting"; phase === "starting"; ) {
      const { venue } = (await (await fetch(health)).json()) as { venue: { phase: string } };
      phase = venue.phase;
    }
    return program;
  }

  async start(): Promise<void> {
    const path = process.env["TRADING_API"];
    assert.ok(path, "TRADING_API names the program");
    const child = spawn(path, ["--listen", `127.0.0.1:${this.port}`], { stdio: ["ignore", "ignore", "pipe"] });
    this.#child = child;
    for await (const line of createInterface({ input: child.stderr })) {
      const address = /http:\/\/127\.0\.0\.1:(\d+)/.exec(line);
      if (address === null) continue;
      this.port = Number(address[1]);
      child.stderr.resume();
      return;
    }
    assert.fail("the program has told no address");
  }

  /** Asks it to end. */
  terminate(): void {
    this.#child?.kill("SIGTERM");
  }

  /** Stops it where it is, all of its threads. */
  freeze(): void {
    this.#child?.kill("SIGSTOP");
    const threads = `/proc/${this.#child?.pid}/task`;
    const isFrozen = (thread: string) => readFileSync(`${threads}/${thread}/stat`, "utf8").split(") ")[1]?.startsWith("T");
    while (!readdirSync(threads).every(isFrozen));
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/api/v1/ws`;
  }
}

/** A TCP proxy whose connections can be cut. */
export class Proxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(t: TestContext, port: number): Promise<Proxy> {
    const proxy = new Proxy(
      createServer((client) => {
        const server = connect(port, "127.0.0.1");
        for (const [from, to] of [[client, server], [server, client]] as const) {
          proxy.#sockets.add(from);
          from.on("error", () => {});
          from.on("close", () => {
            proxy.#sockets.delete(from);
            to.destroy();
          });
          from.pipe(to);
        }
      }),
    );
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    t.after(() => {
      proxy.#server.close();
      proxy.cut();
    });
    return proxy;
  }

  /** Ends every connection without a goodbye. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/api/v1/ws`;
  }
}

/** Values that are waited for one by one. */
export class Queue<T> {
  readonly #values: T[] = [];
  readonly #waiting: ((value: T) => void)[] = [];

  push(value: T): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#values.push(value);
    else waiting(value);
  }

  get size(): number {
    return this.#values.length;
  }

  next(): Promise<T> {
    const value = this.#values.shift();
    return value === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(value);
  }
}

/** A frame as the server sees it. */
export interface Frame {
  type: string;
  id?: string;
  payload?: any;
  recover?: { epoch: string; offset: number };
}

/** A WebSocket server that says what a test tells it to say. */
export class Script {
  readonly #server: WebSocketServer;
  readonly #peers = new Queue<Peer>();

  private constructor(server: WebSocketServer) {
    this.#server = server;
    server.on("connection", (socket, request) => {
      this.#peers.push(new Peer(socket, request.url ?? "", request.headers["sec-websocket-protocol"]));
    });
  }

  static async start(t: TestContext): Promise<Script> {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    await once(server, "listening");
    t.after(() => {
      for (const socket of server.clients) socket.terminate();
      server.close();
    });
    return new Script(server);
  }

  /** The next client that connects. */
  accept(): Promise<Peer> {
    return this.#peers.next();
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }
}

/** The server's end of a connection. */
export class Peer {
  readonly closed: Promise<number>;
  readonly url: string;
  readonly protocols: string | undefined;
  readonly frames = new Queue<Frame>();
  readonly #socket: WebSocket;

  constructor(socket: WebSocket, url: string, protocols: string | undefined) {
    this.url = url;
    this.protocols = protocols;
    this.#socket = socket;
    this.closed = new Promise((resolve) => socket.on("close", resolve));
    socket.on("message", (data) => this.frames.push(JSON.parse(String(data))));
  }

  send(frame: object): void {
    this.#socket.send(JSON.stringify(frame));
  }

  /** The next request, which has to be of this type. */
  async read(type: string): Promise<Frame> {
    const frame = await this.frames.next();
    assert.equal(frame.type, type, JSON.stringify(frame));
    return frame;
  }

  reply(request: Frame, payload: object, beside: object = {}): void {
    this.send({ type: `${request.type}.response`, id: request.id, payload, ...beside });
  }

  refuse(request: Frame, payload: object): void {
    this.send({ type: "error", id: request.id, payload: { message: "no", operation: request.type, ...payload } });
  }

  /** Reads a subscribe or unsubscribe request and grants it. */
  async grant(type: string, topic: string, beside: object = {}): Promise<Frame> {
    const request = await this.read(type);
    this.reply(request, { status: "ok", message: "done", topic }, beside);
    return request;
  }

  bar(topic: string, close: number, beside: object = {}): void {
    this.send({ type: "bars.update", topic, payload: { time: 1, open: 1, high: 1, low: 1, close, volume: 1 }, ...beside });
  }

  close(code: number, reason = ""): void {
    this.#socket.close(code, reason);
  }

  /** Ends the connection without a goodbye. */
  cut(): void {
    this.#socket.terminate();
  }
}

/** Timers that run when a test says so, and a clock that stands still in between. */
export class Clock {
  #now = 0;
  #timers: { act: () => void; at: number; wait: number }[] = [];

  readonly timers = {
    setTimeout: (act: () => void, wait: number) => {
      const timer = { act, at: this.#now + wait, wait };
      this.#timers.push(timer);
      return timer;
    },
    clearTimeout: (timer: unknown) => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    },
    now: () => this.#now,
  };

  /** The waits that are running. */
  get waits(): number[] {
    return this.#timers.map(({ wait }) => wait);
  }

  advance(milliseconds: number): void {
    const end = this.#now + milliseconds;
    for (;;) {
      const [due] = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (due === undefined) break;
      this.#now = due.at;
      this.timers.clearTimeout(due);
      due.act();
    }
    this.#now = end;
  }
}

/** Waits until the client is in a state. */
export function reached(api: { state: string; onState(listener: (state: string) => void): () => void }, state: string): Promise<void> {
  return new Promise((resolve) => {
    if (api.state === state) return resolve();
    const off = api.onState((now) => {
      if (now !== state) return;
      off();
      resolve();
    });
  });
}

/** The next value of an iterator that has one. */
export async function take<T>(iterator: AsyncIterator<T>): Promise<T> {
  const { value, done } = await iterator.next();
  assert.ok(done !== true, "the stream has ended");
  return value as T;
}

/** Lets everything run that is due. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
