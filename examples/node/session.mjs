// A closed-loop session from Node.js: shows what the server proposes, tells what was recorded, and goes on after any failure of either side.
//
//   node session.mjs [--server 127.0.0.1:50051] [--spec session.json]     begins a session and prints its name
//   node session.mjs --session sessions/3f2a...                           goes on with it after a crash
//
// Replace `record` by your rig.
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const here = dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: {
    server: { type: "string", default: process.env.ACTMAX_SERVER ?? "127.0.0.1:50051" },
    spec: { type: "string", default: join(here, "session.json") },
    session: { type: "string" },
    latency: { type: "string", default: "0" }, // milliseconds that a trial takes
    protos: { type: "string", default: join(here, "..", "..", "protos") },
  },
});

/** The neuron: likes bright pictures, and now and then fails. `values` are a picture's numbers. */
async function record(trial, values) {
  if (Number(options.latency)) await sleep(Number(options.latency));
  if (trial % 10 === 0) return null; // a missed trial
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return 20 * mean * mean;
}

const definition = await protoLoader.load(["actmax/v1/session_service.proto"], {
  includeDirs: [options.protos],
  keepCase: true, // field names as in the .proto files
  enums: String,
  longs: Number,
  defaults: true,
  oneofs: true,
});
const { SessionService } = grpc.loadPackageDefinition(definition).actmax.v1;
const service = new SessionService(options.server, grpc.credentials.createInsecure(), {
  "grpc.max_receive_message_length": 256 * 1024 * 1024,
  "grpc.keepalive_time_ms": 10_000, // a peer that vanished without a word is noticed
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.max_reconnect_backoff_ms": 1_000,
});

const again = new Set([grpc.status.UNAVAILABLE, grpc.status.CANCELLED, grpc.status.DEADLINE_EXCEEDED]);

/** One RunSession stream, its messages one by one. */
class Stream {
  #arrived = [];
  #waiting = null;

  constructor() {
    this.call = service.RunSession();
    this.call.on("data", (response) => this.#put({ response }));
    this.call.on("error", (error) => this.#put({ error }));
    this.call.on("end", () => this.#put({ error: null }));
  }

  #put(item) {
    if (this.#waiting) this.#waiting(item);
    else this.#arrived.push(item);
    this.#waiting = null;
  }

  /** The next message; throws what ended the stream, null where it ended in good order. */
  async next() {
    const item = this.#arrived.shift() ?? (await new Promise((resolve) => (this.#waiting = resolve)));
    if (item.response) return item.response;
    throw item.error;
  }
}

/** A session over as many streams as it takes. What was told is on the server's disk when `tell` has resolved. */
class Session {
  #client = randomUUID();
  #sequence = 0;
  #unanswered = []; // requests without an ack: sent again after a reconnection, which the server takes as the same
  #stream = null;
  #failures = 0;
  generation = null;
  told = new Set();
  ended = null;

  constructor(name) {
    this.name = name;
  }

  static async create(spec) {
    // A repeat with the same request_id creates no second session.
    const request = { request_id: randomUUID(), spec };
    const made = await new Promise((resolve, reject) => {
      service.CreateSession(request, { deadline: Date.now() + 180_000 }, (error, found) => (error ? reject(error) : resolve(found)));
    });
    return new Session(made.name);
  }

  /** The trials to show now: {number, trials, pictures}; null once the session has ended. */
  async ask() {
    const left = () => this.generation?.trials.filter((trial) => !this.told.has(trial)) ?? [];
    await this.#until(() => this.ended || left().length);
    if (this.ended) return null;
    const { generation, trials, pictures } = this.generation;
    const rows = [...trials.keys()].filter((row) => !this.told.has(trials[row]));
    return { number: generation, trials: rows.map((row) => trials[row]), pictures: rows.map((row) => pictures[row]) };
  }

  /** Responses to trials, one each; null where one was missed. */
  async tell(trials, responses) {
    const rows = trials.map((trial, row) => {
      const response = responses[row];
      return response === null ? { trial, missed: true } : { trial, responses: [response] };
    });
    const request = { tell: { trials: rows } };
    this.#unanswered.push(request);
    this.#stream?.call.write(request);
    await this.#until(() => !this.#unanswered.includes(request));
  }

  close() {
    this.#stream?.call.cancel();
  }

  /** Take messages in until `done`. */
  async #until(done) {
    while (!done()) {
      try {
        if (this.#stream === null) await this.#connect();
        else this.#receive(await this.#stream.next());
      } catch (error) {
        this.#stream?.call.cancel();
        this.#stream = null;
        if (done()) return;
        // the reason is in google.rpc.ErrorInfo: a stream of a client that was just killed may still be open
        const busy = error?.metadata?.get("grpc-status-details-bin").some((part) => part.includes("SESSION_IN_USE"));
        if (error !== null && !again.has(error.code) && !busy) {
          if (this.#unanswered.length) this.#unanswered.shift(); // what was refused is not said again
          throw error;
        }
        if (++this.#failures > (busy ? 12 : 60)) throw error ?? new Error("the server keeps ending the stream");
        await sleep(Math.min(50 * 2 ** this.#failures, 1_000) * (0.5 + Math.random() / 2));
      }
    }
  }

  async #connect() {
    const stream = new Stream();
    this.#stream = stream;
    stream.call.write({ open: { session: this.name, last_sequence: this.#sequence, client_id: this.#client } });
    this.#receive(await stream.next());
    for (const request of this.#unanswered) stream.call.write(request);
  }

  #receive({ opened, ask, ack, ended }) {
    this.#failures = 0;
    if (opened) this.#sequence = opened.last_sequence;
    if (ask && ask.generation !== this.generation?.generation) {
      this.generation = { ...ask, pictures: rows(ask.stimuli) };
      this.told = new Set();
    }
    if (ack) {
      this.#sequence = ack.sequence;
      for (const { trial } of this.#unanswered.shift().tell.trials) this.told.add(trial);
    }
    if (ended) this.ended = ended;
  }
}

/** A float32 tensor, (n, ...), as n flat arrays. */
function rows({ shape, data }) {
  const values = new Float32Array(Uint8Array.from(data).buffer);
  const size = shape.slice(1).reduce((product, length) => product * length, 1);
  return Array.from({ length: shape[0] }, (_, row) => values.subarray(row * size, (row + 1) * size));
}

try {
  const session = options.session ? new Session(options.session) : await Session.create(JSON.parse(await readFile(options.spec, "utf8")));
  console.log(session.name);
  for (let shown; (shown = await session.ask()); ) {
    const responses = [];
    for (const [row, trial] of shown.trials.entries()) responses.push(await record(trial, shown.pictures[row]));
    await session.tell(shown.trials, responses);
    const known = responses.filter((response) => response !== null);
    console.log(`generation ${shown.number}: ${(known.reduce((sum, value) => sum + value, 0) / known.length).toFixed(2)}`);
  }
  const { recommendation: found, stopped_by } = session.ended;
  console.log(`ended by ${stopped_by}: ${found.response.toFixed(2)} (${found.low.toFixed(2)} to ${found.high.toFixed(2)})`);
  session.close();
} catch (error) {
  console.error(error.code === undefined ? error.message : `${grpc.status[error.code]}: ${error.details}`);
  process.exitCode = 1;
} finally {
  service.close();
}
