// An Express app behind hookswitch: an inbox of text messages, verified with
// Telnyx's own SDK, whose code knows nothing of hookswitch.
//
//   npm ci
//   hookswitch dev --forward-to http://127.0.0.1:5000/webhooks
//   TELNYX_PUBLIC_KEY=$(hookswitch keys forward) npm start
//
// Then, from another terminal:
//
//   hookswitch trigger message.received --set payload.text='a table for two'
//   curl http://127.0.0.1:5000/messages
//
// It reads TELNYX_PUBLIC_KEY (required; the sidecar's), PORT (5000), HOST
// (127.0.0.1) and INBOX, the file that messages are kept in (inbox.jsonl).
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import express from 'express';
import { TelnyxWebhook } from 'telnyx/lib/webhooks';

if (!process.env.TELNYX_PUBLIC_KEY) {
  console.error('app.mjs: TELNYX_PUBLIC_KEY is not set: hookswitch keys forward prints it');
  process.exit(2);
}
const verifier = new TelnyxWebhook(process.env.TELNYX_PUBLIC_KEY);

// An event may come again: after a crash, after a replay. The inbox is by
// event id, and a message is in it when its line is on disk.
const file = process.env.INBOX ?? 'inbox.jsonl';
const inbox = new Map();
if (existsSync(file)) {
  const text = readFileSync(file, 'utf8');
  // A line without an end is from a crash; its event comes again.
  for (const line of text.slice(0, text.lastIndexOf('\n') + 1).split('\n').filter(Boolean)) {
    try {
      const message = JSON.parse(line);
      inbox.set(message.event_id, message);
    } catch {
      console.error(`app.mjs: ${file}: skipped a line that a crash has cut`);
    }
  }
}
const log = openSync(file, 'a');
writeSync(log, '\n'); // ends a line that a crash has cut

const handlers = {
  'message.received': (event) => {
    if (inbox.has(event.id)) return;
    const { from, text } = event.payload;
    const message = { event_id: event.id, from: from.phone_number, text: text ?? '' };
    writeSync(log, JSON.stringify(message) + '\n');
    fsyncSync(log);
    inbox.set(event.id, message);
  },
};

const app = express();

app.get('/', (request, response) => response.send('hello\n'));

app.get('/messages', (request, response) => response.json({ messages: [...inbox.values()] }));

// express.raw keeps the bytes that were signed. express.json() would parse
// them, and what is written again is not what was signed.
app.post('/webhooks', express.raw({ type: () => true, limit: '2mb' }), async (request, response) => {
  // Verify first: webhooks.unwrap of the SDK does, and then parses JSON, so
  // that it refuses the genuine forms of TeXML.
  const body = request.body.toString('utf8');
  try {
    await verifier.verify(body, request.headers);
  } catch (err) {
    response.status(401).send(`${err.message}\n`);
    return;
  }
  // What is not JSON (TeXML sends forms) is not for this app.
  if (!request.is('json')) {
    response.sendStatus(200);
    return;
  }
  const { data: event } = JSON.parse(body);
  handlers[event?.event_type]?.(event);
  // 200 says that it is done. An exception is a 500, after which the sidecar
  // tries again.
  response.sendStatus(200);
});

const server = app.listen(Number(process.env.PORT ?? 5000), process.env.HOST ?? '127.0.0.1', (err) => {
  if (err) throw err;
  console.log(`webhooks: http://${server.address().address}:${server.address().port}/webhooks`);
});
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    server.close(() => closeSync(log));
    server.closeIdleConnections();
  });
}
