import Telnyx from 'telnyx';

// The example of Telnyx's API reference, unchanged. It reads TELNYX_API_KEY
// and, so that it asks the sidecar, TELNYX_BASE_URL.

const client = new Telnyx({
  apiKey: process.env['TELNYX_API_KEY'], // This is the default and can be omitted
});

const webhookDelivery = await client.webhookDeliveries.retrieve('C9C0797E-901D-4349-A33C-C2C8F31A92C2');

console.log(webhookDelivery.data);
