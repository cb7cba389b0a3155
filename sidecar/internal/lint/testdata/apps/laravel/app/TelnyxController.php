<?php

namespace App\Http\Controllers;

use Illuminate\Http\Request;

# [Controller] of what Telnyx sends
class TelnyxController extends Controller
{
    const MESSAGE_RECEIVED = 'message.received';
    const MESSAGE_DELIVERED = 'message.delivered'; // WRONG message.finalized

    private array $handlers = [
        'message.received' => 'received',
        'message.finalized' => 'finalized',
        'message.failed' => 'failed', // WRONG message.finalized
        'number_order.complete' => 'bought',
    ];

    public function handle(Request $request)
    {
        $type = $request->input('data.event_type');
        $payload = $request->input('data.payload');
        if (in_array($type, ['fax.received', 'fax.sent'], true)) { // WRONG fax.delivered
            return $this->fax($payload);
        }
        if ($type === self::MESSAGE_DELIVERED || $type === 'fax.delivered') {
            return response()->noContent();
        }
        return match ($type) {
            'call.initiated', 'call.answered' => $this->call($payload),
            'call.hungup' => $this->end($payload), // WRONG call.hangup
            'call.hangup' => $this->end($payload),
            default => response()->json(['status' => 'ignored', 'event_type' => $type]),
        };
    }

    private function call(array $payload)
    {
        // Laravel's own events have names with dots, too.
        event('call.ended', [$payload['call_session_id']]);
        Log::info('message.delivered', ['id' => $payload['id'] ?? null]);
        trans('message.failed');
        $this->authorize('message.send');
        return view('message.failed', ['at' => now()]);
    }
}
