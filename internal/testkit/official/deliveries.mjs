// Asks for delivery records with the official client and prints what it got as
// JSON. It reads TELNYX_API_KEY and TELNYX_BASE_URL, and takes the version of the
// client that TELNYX_CLIENT names, such as telnyx-6.83.
//
//   node deliveries.mjs retrieve ID...         a list of the records' data
//   node deliveries.mjs list [QUERY]           one page: {"data": [...], "meta": {...}}
//   node deliveries.mjs iterate [QUERY]        the ids on all pages, by the client's own iterator
//   node deliveries.mjs iterations QUERY...    the same for several queries, a list of lists
//   node deliveries.mjs error retrieve ID      the client's error: {"name", "status", "errors"}
//   node deliveries.mjs error list [QUERY]
//
// QUERY is the client's parameter object as JSON, such as
//
//   {"filter": {"status": {"eq": "failed"}}, "page[size]": 2}
//
// Exit codes: 0 done, 1 the client failed (or did not, for error), 2 usage.
const { default: Telnyx } = await import(process.env.TELNYX_CLIENT ?? 'telnyx');

// The iterator runs without end when a list has no meta. More than this is no
// list that a test has made.
const most = 10_000;

const fail = (code, message) => {
  console.error(`deliveries.mjs: ${message}`);
  process.exit(code);
};

const usage = () =>
  fail(2, 'usage: node deliveries.mjs retrieve ID... | list [QUERY] | iterate [QUERY] | iterations QUERY... | error (retrieve ID | list [QUERY])');

const parse = (text = '{}') => {
  try {
    return JSON.parse(text);
  } catch (err) {
    return fail(2, `QUERY ${text} is not JSON: ${err.message}`);
  }
};

const commands = {
  async retrieve(client, ids) {
    if (ids.length === 0) usage();
    const records = [];
    for (const id of ids) records.push((await client.webhookDeliveries.retrieve(id)).data);
    return records;
  },

  async list(client, [query]) {
    const { data, meta } = await client.webhookDeliveries.list(parse(query));
    return { data, meta };
  },

  async iterate(client, [query]) {
    const ids = [];
    for await (const record of client.webhookDeliveries.list(parse(query))) {
      ids.push(record.id);
      if (ids.length > most) throw new Error(`the iterator has not ended after ${most} records`);
    }
    return ids;
  },

  async iterations(client, queries) {
    if (queries.length === 0) usage();
    const lists = [];
    for (const query of queries) lists.push(await commands.iterate(client, [query]));
    return lists;
  },

  async error(client, [command, ...args]) {
    if (command !== 'retrieve' && command !== 'list') usage();
    let result;
    try {
      result = await commands[command](client, args);
    } catch (err) {
      if (!(err.status >= 400)) throw err; // no answer at all is no answer that a test expects
      return { name: err.constructor.name, status: err.status, errors: err.error?.errors };
    }
    return fail(1, `${command} was to fail and returned ${JSON.stringify(result)}`);
  },
};

const [command, ...args] = process.argv.slice(2);
if (!Object.hasOwn(commands, command ?? '')) usage();
try {
  // One try: a test that needs a second one hides a fault.
  const client = new Telnyx({ maxRetries: 0, timeout: 20_000 });
  console.log(JSON.stringify(await commands[command](client, args)));
} catch (err) {
  fail(1, `${command}: ${err.name}: ${err.message}${err.cause ? ` (${err.cause.message})` : ''}`);
}
