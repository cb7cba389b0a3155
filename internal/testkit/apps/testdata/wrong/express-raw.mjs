// As in the comments of the SDK: JSON only, and no more than 100 kB of it.
import express from 'express';
import { TelnyxWebhook } from 'telnyx/lib/webhooks';

const verifier = new TelnyxWebhook(process.env.TELNYX_PUBLIC_KEY);
const app = express();
app.post('/webhooks', express.raw({ type: 'application/json' }), async (request, response) => {
  try {
    await verifier.verify(request.body.toString(), request.headers);
  } catch (err) {
    return response.status(401).send(err.message);
  }
  response.sendStatus(200);
});
app.listen(Number(process.env.PORT), '127.0.0.1');
