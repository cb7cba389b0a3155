#!/usr/bin/env node
// A hookswitch plugin that keeps a log of calls: one line of JSON for each that has ended, with who
// called whom, how long it rang and how long they talked.
//
// The log is calls.jsonl in the working directory that hookswitch gives to plugins, or the file that
// the settings (call-log.json) name. A call that goes on has a small file in calls.open beside it, so
// that a restart forgets nothing. Events may come twice, or late: a call is in the log once.

import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Permanent, log, serve } from './plugin.mjs';

let file = 'calls.jsonl';
const logged = new Set(); // call legs that are in the log

serve({
  name: 'call-log',
  version: '1.0.0',
  patterns: ['call.initiated', 'call.answered', 'call.hangup'],
  configure(settings) {
    const errors = Object.keys(settings).filter((key) => key !== 'file')
      .map((key) => ({ field: key, message: 'is not known; there is "file"' }));
    if ('file' in settings && (typeof settings.file !== 'string' || settings.file === '')) {
      errors.push({ field: 'file', message: 'must be the name of a file' });
    }
    if (errors.length === 0) open(settings.file ?? file);
    return errors;
  },
  handle,
});

/** Reads which calls are in the log. */
function open(path) {
  file = path;
  mkdirSync(`${file}.open`, { recursive: true, mode: 0o700 });
  if (!existsSync(file)) return;
  let text = readFileSync(file, 'utf8');
  if (text !== '' && !text.endsWith('\n')) { // the power failed in the middle of a line
    text = text.slice(0, text.lastIndexOf('\n') + 1);
    writeFileSync(file, text);
  }
  for (const line of text.split('\n')) {
    if (line) logged.add(JSON.parse(line).call_leg_id);
  }
}

// Nothing in here waits, so no two events are handled at the same time.
function handle(event) {
  const payload = read(event);
  const leg = payload.call_leg_id;
  if (typeof leg !== 'string' || leg === '') throw new Permanent('the call has no call_leg_id');
  if (logged.has(leg)) return; // it came twice, or after the end

  const path = openFile(leg);
  const call = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : { call_leg_id: leg };
  for (const key of ['call_session_id', 'direction', 'from', 'to']) call[key] ??= payload[key];
  const at = payload.occurred_at ?? event.occurred_at;
  switch (event.event_type) {
    case 'call.initiated':
      call.started_at ??= payload.start_time ?? at;
      break;
    case 'call.answered':
      call.answered_at ??= at;
      break;
    default:
      call.started_at ??= payload.start_time;
      call.ended_at = payload.end_time ?? at;
      call.hangup_cause = payload.hangup_cause;
      return finish(call, path);
  }
  writeFileSync(`${path}.tmp`, JSON.stringify(call), { mode: 0o600, flush: true });
  renameSync(`${path}.tmp`, path);
}

function read(event) {
  try {
    const payload = JSON.parse(event.body.toString()).data.payload;
    if (payload && typeof payload === 'object') return payload;
  } catch (error) {
    throw new Permanent(`the body cannot be read: ${error.message}`);
  }
  throw new Permanent('the event has no payload');
}

/** Writes a call that has ended to the log. The line first: if we die now, it is found there. */
function finish(call, path) {
  call.ring_seconds = seconds(call.started_at, call.answered_at ?? call.ended_at);
  call.talk_seconds = call.answered_at ? seconds(call.answered_at, call.ended_at) : 0;
  appendFileSync(file, JSON.stringify(call) + '\n', { mode: 0o600, flush: true });
  logged.add(call.call_leg_id);
  rmSync(path, { force: true });
  log('info', 'call ended', { leg: call.call_leg_id, talk_seconds: call.talk_seconds, cause: call.hangup_cause });
}

function seconds(from, to) {
  const s = (Date.parse(to) - Date.parse(from)) / 1000;
  return Number.isFinite(s) ? Math.max(0, Math.round(s * 10) / 10) : null;
}

/** The file of a call that goes on. What Telnyx sends becomes no part of a path. */
function openFile(leg) {
  return join(`${file}.open`, createHash('sha256').update(leg).digest('hex').slice(0, 32) + '.json');
}
