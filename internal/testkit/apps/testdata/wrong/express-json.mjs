// express.json() has parsed the body: what is written again is not what was signed.
import express from 'express';
import { TelnyxWebhook } from 'telnyx/lib/webhooks';

const verifier = new TelnyxWebhook(process.env.TELNYX_PUBLIC_KEY);
const app = express();
app.use(express.json({ limit: '2mb' }));
app.post('/webhooks', async (request, response) => {
  try {
    await verifier.verify(JSON.stringify(request.body), request.headers);
  } catch {
    return response.sendStatus(401);
  }
  response.sendStatus(200);
});
app.listen(Number(process.env.PORT), '127.0.0.1');
