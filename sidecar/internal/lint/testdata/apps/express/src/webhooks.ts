import { Router } from 'express';
import { bus } from './bus';

export const router = Router();

const MESSAGE_EVENTS = new Set(['message.received', 'message.sent', 'message.finalized']);
const OUTCOMES: Record<string, string> = {
  'message.finalized': 'final',
  'message.delivered': 'final', // WRONG message.finalized
};

enum CallEvent {
  Initiated = 'call.initiated',
  Answered = 'call.answered',
  Hangup = 'call.hangup',
}

/* if (type === 'message.failed') was here, and it's gone */
router.post('/telnyx', (req, res) => {
  const { event_type: type, payload } = req.body.data;
  switch (type) {
    case 'message.received':
      bus.emit('inbound', payload);
      break;
    case 'message.sent':
    case 'message.failed': // WRONG message.finalized
      break;
    case CallEvent.Answered:
      speak(payload.call_control_id, `It's "message.failed", isn't it?`);
      break;
    case "call.hang_up": // WRONG call.hangup
    case 'call.hangup':
      bus.emit('call.done', { id: payload.call_session_id, cause: payload.hangup_cause });
      break;
  }
  if (['fax.delivered', 'fax.sent'].includes(type)) { // WRONG fax.delivered
    const url = 'https://example.com/faxes//' + payload.fax_id;
    bus.emit('fax.done', url);
  }
  const done = MESSAGE_EVENTS.has(type) ? OUTCOMES[type] ?? 'open' : 'none';
  res.json({ done, note: "doesn't matter" });
});

// The state machine of a delivery of ours: a driver, not a message.
export function step(delivery: { state: string }): string {
  return delivery.state === 'delivered' ? 'parcel.delivered' : 'parcel.failed';
}

bus.on('inbound', (payload) => console.log(payload));
bus.on('message.failed', () => undefined); // of the bus
