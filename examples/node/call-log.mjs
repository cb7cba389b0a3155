#!/usr/bin/env node
// A hookswitch plugin that keeps a log of calls: one line of JSON for each that has ended, with who
// called whom, how long it rang and how long they talked.
//
// The log is calls.jsonl in the working directory that hookswitch gives to plugins, or the file that
// the settings (call-log.json) name. An ongoing call has a small file in calls.jsonl.open beside
// it, so that a restart forgets nothing. Events may come twice, or late: a call is in the log once.
//
// While hookswitch replaces the plugin, two processes have these files. So nothing is ever rewritten,
// only added to, a line at a time; and what the other one has added is read before each event.

import { createHash } from 'node:crypto';
import { appendFileSync, closeSync, fstatSync, mkdirSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Permanent, log, serve } from './plugin.mjs';

let file = 'calls.jsonl';
const logged = new Set(); // call legs that are in the log, as far as it has been read
let read = 0; // bytes of it that have been: whole lines
let torn = false; // it does not end with a whole line

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

function open(path) {
  file = path;
  mkdirSync(`${file}.open`, { recursive: true, mode: 0o700 });
  catchUp();
}

/** Reads which calls are in the log that were not when it was read last. */
function catchUp() {
  const fd = openSync(file, 'a+', 0o600);
  try {
    const { size } = fstatSync(fd);
    if (size < read) read = 0; // somebody began a new one
    const bytes = Buffer.alloc(size - read);
    const added = bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, read));
    const end = added.lastIndexOf('\n') + 1;
    for (const call of parse(added.subarray(0, end))) logged.add(call.call_leg_id);
    read += end;
    torn = end < added.length;
  } finally {
    closeSync(fd);
  }
}

/** Returns what is in the lines. One that is broken, because the power failed in the middle of it, is skipped. */
function parse(lines) {
  return lines.toString().split('\n').flatMap((line) => {
    try {
      const value = JSON.parse(line);
      return value && typeof value === 'object' ? [value] : [];
    } catch {
      if (line) log('warn', 'skipped a broken line');
      return [];
    }
  });
}

// Nothing in here waits, so that one process never handles two events at the same time.
function handle(event) {
  const payload = payloadOf(event);
  const leg = payload.call_leg_id;
  if (typeof leg !== 'string' || leg === '') throw new Permanent('the call has no call_leg_id');
  catchUp();
  if (logged.has(leg)) { // it came twice, or after the end
    rmSync(openFile(leg), { force: true });
    return;
  }

  const at = payload.occurred_at ?? event.occurred_at;
  const { call_session_id, direction, from, to } = payload;
  const facts = { call_leg_id: leg, call_session_id, direction, from, to };
  switch (event.event_type) {
    case 'call.initiated':
      return note(leg, { ...facts, started_at: payload.start_time ?? at });
    case 'call.answered':
      return note(leg, { ...facts, answered_at: at });
    default:
      return finish({ ...facts, started_at: payload.start_time, ended_at: payload.end_time ?? at, hangup_cause: payload.hangup_cause });
  }
}

function payloadOf(event) {
  try {
    const payload = JSON.parse(event.body.toString()).data.payload;
    if (payload && typeof payload === 'object') return payload;
  } catch (error) {
    throw new Permanent(`the body cannot be read: ${error.message}`);
  }
  throw new Permanent('the event has no payload');
}

/** Adds what is known of an ongoing call to its file. An empty line after a broken one does no harm. */
function note(leg, facts) {
  appendFileSync(openFile(leg), '\n' + JSON.stringify(facts) + '\n', { mode: 0o600, flush: true });
}

/** Writes a call that has ended to the log. The line first: if we die now, it is found there. */
function finish(end) {
  const path = openFile(end.call_leg_id);
  const call = {};
  for (const facts of [...notes(path), end]) { // what was said first counts
    for (const [key, value] of Object.entries(facts)) call[key] ??= value;
  }
  call.ring_seconds = seconds(call.started_at, call.answered_at ?? call.ended_at);
  call.talk_seconds = call.answered_at ? seconds(call.answered_at, call.ended_at) : 0;
  appendFileSync(file, (torn ? '\n' : '') + JSON.stringify(call) + '\n', { mode: 0o600, flush: true });
  rmSync(path, { force: true });
  log('info', 'call ended', { leg: call.call_leg_id, talk_seconds: call.talk_seconds, cause: call.hangup_cause });
}

/** Returns what has been noted of a call: nothing, if its end is the first that is heard of it. */
function notes(path) {
  try {
    return parse(readFileSync(path));
  } catch (error) {
    if (error.code === 'ENOENT') return [];
    throw error;
  }
}

function seconds(from, to) {
  const s = (Date.parse(to) - Date.parse(from)) / 1000;
  return Number.isFinite(s) ? Math.max(0, Math.round(s * 10) / 10) : null;
}

/** The file of an ongoing call. Nothing that Telnyx sends becomes part of a path. */
function openFile(leg) {
  return join(`${file}.open`, createHash('sha256').update(leg).digest('hex').slice(0, 32) + '.json');
}
