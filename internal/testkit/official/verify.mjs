// An application that trusts only what the official client verifies. Every
// request to it is given to client.webhooks.unwrap, and the result is appended
// to a file as one line of JSON:
//
//   {"ok":true,"status":200,"id":"...","event_type":"message.sent","method":"POST","url":"/webhooks","bytes":312}
//   {"ok":false,"status":401,"error":"Webhook timestamp too old or too new: 1600000000", ...}
//
// Usage: node verify.mjs RESULTS [URLFILE]
//
// It listens on 127.0.0.1, prints its URL as the first line and
// writes it to URLFILE if there is one. It reads
//
//   TELNYX_PUBLIC_KEY  the key to verify with (required)
//   ANSWERS            statuses to answer verified requests with, in turn, such
//                      as "500,503,200"; the last one goes on. Default 200.
//   PORT               listens on it instead of a free one
//   COUNT              ends after so many requests. Default: at SIGTERM or SIGINT.
//
// Exit codes: 0 every request was verified, 1 one was not, 2 usage.
import { appendFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import Telnyx from 'telnyx';

const usage = (message) => {
  console.error(`verify.mjs: ${message}; usage: TELNYX_PUBLIC_KEY=... node verify.mjs RESULTS [URLFILE]`);
  process.exit(2);
};

const [results, urlFile] = process.argv.slice(2);
if (!results) usage('no file for the results');
if (!process.env.TELNYX_PUBLIC_KEY) usage('TELNYX_PUBLIC_KEY is not set');
const count = Number(process.env.COUNT ?? Infinity);
if (!(count >= 1)) usage(`COUNT=${process.env.COUNT} is no number of requests`);
const answers = (process.env.ANSWERS ?? '200').split(',').map(Number);
if (!answers.every((status) => status >= 200 && status <= 599)) usage(`ANSWERS=${process.env.ANSWERS} are no statuses`);

const client = new Telnyx(); // it takes TELNYX_PUBLIC_KEY by itself and needs no API key to verify

let seen = 0;
let refused = 0;

const judge = async (request, body) => {
  const result = { ok: true, status: 0, method: request.method, url: request.url, bytes: body.length };
  try {
    const event = await client.webhooks.unwrap(body.toString('utf8'), { headers: request.headers });
    result.id = event.data?.id ?? event.id;
    result.event_type = event.data?.event_type ?? event.event_type;
    result.status = answers[Math.min(seen - refused, answers.length - 1)];
  } catch (err) {
    refused++;
    result.ok = false;
    result.status = 401;
    result.error = err.message;
  }
  seen++;
  return result;
};

const stop = () => {
  server.close();
  server.closeIdleConnections();
  process.exitCode = refused > 0 ? 1 : 0;
  if (refused > 0) console.error(`verify.mjs: ${refused} of ${seen} requests were not verified, see ${results}`);
};

const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', async () => {
    const result = await judge(request, Buffer.concat(chunks));
    appendFileSync(results, JSON.stringify(result) + '\n'); // before the answer: whoever has that finds the line
    if (seen >= count) {
      response.setHeader('Connection', 'close'); // a connection kept for later would keep the process too
      response.on('close', stop);
    }
    response.writeHead(result.status, { 'Content-Type': 'text/plain' });
    response.end(result.ok ? 'verified\n' : `${result.error}\n`);
  });
});

process.on('SIGTERM', stop);
process.on('SIGINT', stop);

server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  const url = `http://127.0.0.1:${server.address().port}/webhooks`;
  if (urlFile) {
    // Renamed into place, so that whoever waits for the file never reads half.
    writeFileSync(`${urlFile}.new`, url);
    renameSync(`${urlFile}.new`, urlFile);
  }
  console.log(url);
});
