// As in examples of the SDK: nothing catches what the verifier throws. Express 4 does
// not, either, and Node ends.
import express from 'express4';
import { TelnyxWebhook } from 'telnyx/lib/webhooks';

const verifier = new TelnyxWebhook(process.env.TELNYX_PUBLIC_KEY);
const app = express();
app.post('/webhooks', express.raw({ type: () => true, limit: '2mb' }), async (request, response) => {
  await verifier.verify(request.body.toString(), request.headers);
  response.sendStatus(200);
});
app.listen(Number(process.env.PORT), '127.0.0.1');
