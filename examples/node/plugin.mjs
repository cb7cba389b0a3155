// The hookswitch plugin protocol for Node: plugins/PROTOCOL.md, with the stream.
// Copy this file and plugin.proto; call-log.mjs shows how it is used.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const proto = [here('plugin.proto'), here('../../plugins/proto/hookswitch/plugin/v1/plugin.proto')].find(existsSync);
const messageMax = 16 << 20;

/** The event can never be handled: it becomes a dead letter. */
export class Permanent extends Error {}

/** The event should come again, but not before some seconds have passed. */
export class RetryAfter extends Error {
  constructor(message, seconds) {
    super(message);
    this.seconds = seconds;
  }
}

/** Writes a line that ends up in hookswitch's log, with its fields. */
export function log(level, message, fields = {}) {
  process.stderr.write(JSON.stringify({ '@level': level, '@message': message, ...fields }) + '\n');
}

/**
 * Runs a plugin until hookswitch ends it.
 *
 * handle(event, signal) is called for each event. What it returns is done; what it throws is tried
 * again. It may be async, and then runs for several events at once. The signal aborts when the time
 * of the event is over. configure(settings) gets the content of NAME.json, or {}; it returns a list
 * of { field, message } if the plugin cannot work so.
 */
export function serve({ name, version, patterns, handle, configure = () => [], inFlight = 64 }) {
  if (process.env.HOOKSWITCH_PLUGIN !== 'hookswitch.plugin.v1') {
    console.log(`${name} ${version} is a hookswitch plugin. It handles: ${patterns.join(', ')}`);
    console.log('It is run by the sidecar: put it into HOOKSWITCH_PLUGIN_DIR.');
    return;
  }
  // A terminal or a service manager sends these to the whole group, while hookswitch still waits for
  // results. The lifeline says when to end.
  process.on('SIGTERM', () => {});
  process.on('SIGINT', () => {});

  const running = new Map(); // event under way → its AbortController
  const server = new grpc.Server({ 'grpc.max_receive_message_length': messageMax, 'grpc.max_send_message_length': messageMax });

  server.addService(service('PluginService'), {
    Describe: (call, reply) => reply(null, {
      name, version, sdk: 'hookswitch-example-node', language: 'node', patterns, capabilities: { deliver_stream: true },
    }),
    Configure: (call, reply) => {
      let errors;
      try {
        const text = call.request.config_json.toString();
        errors = configure(text ? JSON.parse(text) : {});
      } catch (error) {
        errors = [{ field: '', message: error.message }];
      }
      reply(null, { errors });
    },
    Deliver: (stream) => deliver(stream, { handle, inFlight, running }),
    Handle: async (call, reply) => reply(null, { result: await result(call.request.event, handle, running) }),
  });
  // These two are go-plugin's. Their messages are so small that they need no file.
  server.addService(raw('/grpc.health.v1.Health/Check'), { call: (call, reply) => reply(null, Buffer.from([8, 1])) }); // SERVING
  server.addService(raw('/plugin.GRPCController/Shutdown'), {
    call: (call, reply) => {
      reply(null, Buffer.alloc(0));
      setImmediate(end);
    },
  });

  const end = () => process.exit(0);
  const dir = process.env.PLUGIN_UNIX_SOCKET_DIR;
  const address = dir ? `unix:${join(dir, 'node.sock')}` : '127.0.0.1:0';
  server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) {
      log('error', `listen: ${error.message}`);
      process.exit(1);
    }
    process.stdout.write(dir ? `1|1|unix|${join(dir, 'node.sock')}|grpc\n` : `1|1|tcp|127.0.0.1:${port}|grpc\n`);
  });

  // The lifeline: the end of standard input means that hookswitch is gone, or done with us.
  process.stdin.resume();
  process.stdin.on('close', () => {
    const deadline = Date.now() + 1500;
    const wait = () => (running.size === 0 || Date.now() > deadline ? setTimeout(end, 20) : setTimeout(wait, 10));
    wait();
  });
}

function service(which) {
  const definition = loader.loadSync(proto, { keepCase: true, longs: String, defaults: true, oneofs: true });
  return definition[`hookswitch.plugin.v1.${which}`];
}

function raw(path) {
  const same = (bytes) => bytes;
  return {
    call: {
      path, requestStream: false, responseStream: false,
      requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
    },
  };
}

/** Serves the stream of events, which lives as long as the process. */
function deliver(stream, { handle, inFlight, running }) {
  const mine = new Map(); // seq → AbortController
  let results = [];
  let draining = false;

  // Results that are ready at the same time travel in one frame.
  const flush = () => {
    if (results.length > 0) stream.write({ results: { results } });
    results = [];
    if (draining && mine.size === 0) {
      draining = false;
      stream.write({ drained: {} });
    }
  };
  const begin = async (event) => {
    const answer = await result(event, handle, mine, running);
    if (results.push(answer) === 1) setImmediate(flush);
  };

  stream.write({ credit: { in_flight: inFlight } });
  stream.on('data', (request) => {
    switch (request.frame) {
      case 'events':
        for (const event of request.events.events) begin(event);
        break;
      case 'cancel':
        mine.get(request.cancel.seq)?.abort(new Error('cancelled'));
        break;
      case 'ping': // answered here, so that the answer proves that events are read
        stream.write({ pong: { id: request.ping.id } });
        break;
      case 'drain':
        draining = true;
        setImmediate(flush);
        break;
      default: // a frame of a later version
    }
  });
  stream.on('end', () => stream.end());
  stream.on('error', () => {}); // the events come again
}

/** Handles one event, and returns its result whatever happens. The books are maps that know of it. */
async function result(event, handle, ...books) {
  const { seq } = event;
  const abort = new AbortController();
  const timeout = Number(event.timeout?.seconds ?? 0) * 1000 + (event.timeout?.nanos ?? 0) / 1e6;
  const timer = timeout > 0 ? setTimeout(() => abort.abort(new Error('timeout')), timeout) : undefined;
  for (const book of books) book.set(seq, abort);
  try {
    await handle(event, abort.signal);
    return { seq, ack: {} };
  } catch (error) {
    const reason = String(error?.message ?? error).slice(0, 4096);
    if (error instanceof Permanent) return { seq, fail: { reason } };
    if (!(error instanceof RetryAfter)) log('error', 'handler failed', { event_id: event.event_id, stack: error?.stack });
    const code = abort.signal.aborted ? 'timeout' : '';
    const after = error instanceof RetryAfter ? { seconds: Math.floor(error.seconds), nanos: 0 } : null;
    return { seq, retry: { after, code, reason } };
  } finally {
    clearTimeout(timer);
    for (const book of books) book.delete(seq);
  }
}
