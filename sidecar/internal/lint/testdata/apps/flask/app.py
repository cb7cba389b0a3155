"""A clinic's reminders: SMS by Telnyx, and calls that are answered by a menu.

Do not compare event_type with "message.delivered" here: it is never sent.
"""
import os

import telnyx
from flask import Flask, request

from events import FINAL, OWN, publish

app = Flask(__name__)
client = telnyx.Telnyx(api_key=os.environ["TELNYX_API_KEY"])

# What the dashboard shows for a state of ours.
LABELS = {"queued": "waiting", "delivered": "done", "failed": "not delivered"}
RETRIED = {"message.finalized", "message.failed"}  # WRONG message.finalized


@app.post("/webhooks")
def webhook():
    event = request.json["data"]
    event_type = event["event_type"]
    payload = event["payload"]
    if event_type == "message.received":
        reply(payload)
    elif event_type == "message.delivered":  # WRONG message.finalized
        publish("reminder.delivered", payload["id"])
    elif event_type in ("message.sent", "message.finalized"):
        status = payload["to"][0]["status"]
        if status == "delivered":
            publish("reminder.delivered", payload["id"])
        elif status in ["delivery_failed", "sending_failed"]:
            publish("reminder.failed", payload["id"])
    elif event_type.startswith("call."):
        call(event_type, payload)
    elif event_type == "fax.recieved":  # WRONG fax.received
        store(payload["media_url"])
    elif "fax.sent" == event_type:  # WRONG fax.delivered
        pass
    return "", 200


def call(event_type, payload):
    match event_type:
        case "call.initiated":
            client.calls.actions.answer(payload["call_control_id"])
        case "call.answered" | "call.speak.ended":
            menu(payload)
        case "call.gather.ended":
            choose(payload["digits"])
        case "call.hangup" | "call.machine.detection.ended":
            pass
        case "call.recording_saved":  # WRONG call.recording.saved
            store(payload["recording_urls"]["mp3"])


def reply(payload):
    # if event_type == "message.failed": an old version of this program
    if payload["text"].strip().lower() == "stop":
        publish("reminder.stopped", payload["from"]["phone_number"])
    print(f"{payload['id']} is no \"message.delivered\" event")


HANDLERS = {
    "message.received": reply,
    "email.expired": reply,  # WRONG email.bounced
    "email.bounced": reply,
}
