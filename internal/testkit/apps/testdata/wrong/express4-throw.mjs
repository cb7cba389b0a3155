// Express 4 does not catch what an async handler throws, and Node ends.
import express from 'express4';
import { TelnyxWebhook } from 'telnyx/lib/webhooks';

const verifier = new TelnyxWebhook(process.env.TELNYX_PUBLIC_KEY);
const app = express();
app.post('/webhooks', express.raw({ type: () => true, limit: '2mb' }), async (request, response) => {
  const body = request.body.toString();
  try {
    await verifier.verify(body, request.headers);
  } catch (err) {
    return response.status(401).send(err.message);
  }
  if (request.is('json')) JSON.parse(body);
  response.sendStatus(200);
});
app.listen(Number(process.env.PORT), '127.0.0.1');
