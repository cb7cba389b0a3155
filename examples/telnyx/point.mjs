// Tells Telnyx where to send webhooks, with Telnyx's own client:
//
//   npm install telnyx
//   export TELNYX_API_KEY=KEY…
//   node point.mjs messaging     PROFILE_ID      https://hooks.example.com/webhooks
//   node point.mjs call-control  APPLICATION_ID  https://hooks.example.com/webhooks
//   node point.mjs texml         APPLICATION_ID  https://hooks.example.com/webhooks
//   node point.mjs fax           APPLICATION_ID  https://hooks.example.com/webhooks
//   node point.mjs notifications "Number Order"  https://hooks.example.com/webhooks
//
// The last one is for what belongs to no application: number orders, porting and
// more. It takes the name of a notification, or a part of it, and lists them all if
// there is no such one. All of it can be done twice.
import Telnyx from 'telnyx';

const ways = { messaging, 'call-control': callControl, texml, fax, notifications };

const [way, id, url] = process.argv.slice(2);
if (!ways[way] || !id || !URL.canParse(url) || new URL(url).protocol !== 'https:') {
  console.error(`usage: node point.mjs ${Object.keys(ways).join('|')} ID https://…`);
  process.exit(2);
}
const client = new Telnyx(); // of TELNYX_API_KEY
try {
  await ways[way](id, url);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}

// All numbers of the profile send their messages' events there.
async function messaging(id, url) {
  const { data } = await client.messagingProfiles.update(id, { webhook_url: url, webhook_api_version: '2' });
  console.log(`messaging profile ${data.name}: ${data.webhook_url}`);
}

// An update replaces the name as well, so it is read first.
async function callControl(id, url) {
  const { data: now } = await client.callControlApplications.retrieve(id);
  const { data } = await client.callControlApplications.update(id, {
    application_name: now.application_name,
    webhook_event_url: url,
    webhook_api_version: '2',
  });
  console.log(`call control application ${data.application_name}: ${data.webhook_event_url}`);
}

// A GET has no body that could be signed, so both methods are POST. What is sent to
// voice_url wants TeXML for an answer: the sidecar needs a route in sync mode.
async function texml(id, url) {
  const { data: now } = await client.texmlApplications.retrieve(id);
  const { data } = await client.texmlApplications.update(id, {
    friendly_name: now.friendly_name,
    voice_url: url,
    voice_method: 'post',
    status_callback: url,
    status_callback_method: 'post',
  });
  console.log(`TeXML application ${data.friendly_name}: ${data.voice_url}`);
}

async function fax(id, url) {
  const { data: now } = await client.faxApplications.retrieve(id);
  const { data } = await client.faxApplications.update(id, {
    application_name: now.application_name,
    webhook_event_url: url,
  });
  console.log(`fax application ${data.application_name}: ${data.webhook_event_url}`);
}

// A profile has channels, one of them a webhook, and a setting sends a kind of
// notification to a channel.
async function notifications(name, url) {
  const conditions = await all(client.notificationEventConditions.list(), (c) => c.supported_channels?.includes('webhook'));
  const wanted = conditions.filter((c) => c.name.toLowerCase().includes(name.toLowerCase()));
  if (wanted.length !== 1) {
    const list = conditions.map((c) => `  ${c.name}`).join('\n');
    throw new Error(`${wanted.length} notifications are called ${name}; those that can be sent to a webhook:\n${list}`);
  }
  const [profile = (await client.notificationProfiles.create({ name: 'hookswitch' })).data] =
    await all(client.notificationProfiles.list(), (p) => p.name === 'hookswitch');
  const channel = { notification_profile_id: profile.id, channel_type_id: 'webhook', channel_destination: url };
  const [{ id } = (await client.notificationChannels.create(channel)).data] =
    await all(client.notificationChannels.list(), (c) => same(c, channel));
  const setting = { notification_profile_id: profile.id, notification_channel_id: id, notification_event_condition_id: wanted[0].id };
  const [old] = await all(client.notificationSettings.list(), (s) => same(s, setting));
  if (!old) await client.notificationSettings.create(setting);
  console.log(`notification ${wanted[0].name}: ${url}`);
}

// same reports whether a record has all values of another.
function same(record, want) {
  return Object.entries(want).every(([name, value]) => record[name] === value);
}

// all returns the records of a list, page by page, for which want holds.
async function all(list, want) {
  const found = [];
  for await (const record of list) if (want(record)) found.push(record);
  return found;
}
