// Holds the two implementations against each other, many bodies at a time.
//
//   node crosscheck.mjs verify FILE   gives each line of FILE, {"body","timestamp","signature"},
//                                     to client.webhooks.unwrap and prints how many it took
//   node crosscheck.mjs sign COUNT    signs COUNT random bodies with Node's own crypto and prints
//                                     them as such lines
//
// It reads TELNYX_PUBLIC_KEY to verify, and PRIVATE_KEY (PKCS #8 DER in
// base64) to sign. Exit codes: 0 done, 1 a body was refused, 2 usage.
import { createPrivateKey, randomInt, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import Telnyx from 'telnyx';

const verify = async (file) => {
  const client = new Telnyx();
  let taken = 0;
  for (const line of readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
    const { body, timestamp, signature } = JSON.parse(line);
    const headers = { 'telnyx-timestamp': timestamp, 'telnyx-signature-ed25519': signature };
    try {
      await client.webhooks.unwrap(body, { headers });
      taken++;
    } catch (err) {
      console.error(`crosscheck.mjs: refused: ${err.message}: ${body.slice(0, 200)}`);
    }
  }
  console.log(taken);
};

const letters = ['a', 'Z', '0', ' ', '"', '\\', '\n', 'é', '中', '🚀', '\u2028', '<', '&', '\u0000'];

const random = (depth) => {
  switch (randomInt(depth > 3 ? 4 : 6)) {
    case 0:
      return randomInt(2 ** 40) / 1000;
    case 1:
      return randomInt(2) === 0;
    case 2:
      return null;
    case 3:
      return Array.from({ length: randomInt(30) }, () => letters[randomInt(letters.length)]).join('');
    case 4:
      return Array.from({ length: randomInt(5) }, () => random(depth + 1));
    default:
      return Object.fromEntries(Array.from({ length: randomInt(5) }, (_, i) => [`k${i}`, random(depth + 1)]));
  }
};

const signBodies = (count) => {
  const key = createPrivateKey({ key: Buffer.from(process.env.PRIVATE_KEY, 'base64'), format: 'der', type: 'pkcs8' });
  for (let i = 0; i < count; i++) {
    const body = JSON.stringify({ data: { event_type: 'cross.check', id: String(i), payload: random(0) } }, null, randomInt(3));
    const timestamp = String(Math.floor(Date.now() / 1000));
    const signature = sign(null, Buffer.from(`${timestamp}|${body}`), key).toString('base64');
    console.log(JSON.stringify({ body, timestamp, signature }));
  }
};

const [command, argument] = process.argv.slice(2);
if (command === 'verify' && argument) await verify(argument);
else if (command === 'sign' && Number(argument) > 0) signBodies(Number(argument));
else {
  console.error('usage: node crosscheck.mjs verify FILE | sign COUNT');
  process.exit(2);
}
