"""A Flask app behind hookswitch: an inbox of text messages.

    pip install -r requirements.txt        # Debian: python3-flask python3-cryptography
    hookswitch dev --forward-to http://127.0.0.1:5000/webhooks
    TELNYX_PUBLIC_KEY=$(hookswitch keys forward) python3 app.py

Then, from another terminal:

    hookswitch trigger message.received --set payload.text='a table for two'
    curl http://127.0.0.1:5000/messages

The app verifies every request by itself, as if it stood in the open: only its
key is the sidecar's, not Telnyx's. It reads TELNYX_PUBLIC_KEY (required), PORT
(5000), HOST (127.0.0.1) and INBOX, the database file (inbox.db).
"""

import base64
import binascii
import json
import os
import sqlite3
import sys
import time
from datetime import datetime, timezone

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from flask import Flask, jsonify, request

TOLERANCE = 300  # seconds that a timestamp may be off, either way


def verify(key, headers, body):
    """Raises ValueError unless the request was signed with key, just now.

    The signature is over the bytes of the body as they arrived. Whoever parses
    the JSON and writes it again has other bytes.
    """
    timestamp = headers.get("telnyx-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit()):
        raise ValueError("no timestamp")
    if abs(time.time() - int(timestamp)) > TOLERANCE:
        raise ValueError("the timestamp is too old or too new")
    try:
        signature = base64.b64decode(headers.get("telnyx-signature-ed25519", ""), validate=True)
        key.verify(signature, timestamp.encode() + b"|" + body)
    except (binascii.Error, InvalidSignature):
        raise ValueError("the signature does not match") from None


def open_inbox(path):
    inbox = sqlite3.connect(path)
    inbox.execute(
        "CREATE TABLE IF NOT EXISTS messages"
        " (event_id TEXT PRIMARY KEY, sender TEXT, text TEXT, received_at TEXT)"
    )
    inbox.execute(
        "CREATE TABLE IF NOT EXISTS choices (sender TEXT PRIMARY KEY, out INTEGER NOT NULL, at TEXT NOT NULL)"
    )
    return inbox


def occurred(event):
    """Returns when an event happened, in a form that sorts."""
    try:
        at = datetime.fromisoformat(event["occurred_at"].replace("Z", "+00:00"))
    except (KeyError, AttributeError, ValueError):
        at = datetime.now(timezone.utc)
    return at.astimezone(timezone.utc).isoformat(timespec="microseconds")


def message_received(inbox, event):
    """Keeps a message, once.

    An event may come again: after a crash, after a replay. Its id, and all that
    it changes, are written in one transaction, so that the second time changes
    nothing. It may also come late, so a STOP is undone only by a START that was
    sent after it.
    """
    payload = event["payload"]
    sender, text = payload["from"]["phone_number"], payload.get("text") or ""
    with inbox:  # one transaction
        new = inbox.execute(
            "INSERT OR IGNORE INTO messages VALUES (?, ?, ?, ?)",
            (event["id"], sender, text, payload.get("received_at")),
        ).rowcount
        if not new:
            return
        word = text.strip().upper()
        if word in ("STOP", "START"):
            inbox.execute(
                "INSERT INTO choices VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
                " SET out = excluded.out, at = excluded.at WHERE excluded.at > at",
                (sender, word == "STOP", occurred(event)),
            )


HANDLERS = {"message.received": message_received}


def create_app(public_key, path="inbox.db"):
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
    open_inbox(path).close()
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 2 << 20

    @app.get("/")
    def hello():
        return "hello\n"

    @app.get("/messages")
    def messages():
        inbox = open_inbox(path)
        rows = inbox.execute("SELECT event_id, sender, text FROM messages ORDER BY rowid").fetchall()
        out = [row[0] for row in inbox.execute("SELECT sender FROM choices WHERE out")]
        inbox.close()
        return jsonify(
            messages=[dict(zip(("event_id", "from", "text"), row)) for row in rows], opted_out=out
        )

    @app.post("/webhooks")
    def webhooks():
        body = request.get_data()
        try:
            verify(key, request.headers, body)
        except ValueError as err:
            return f"{err}\n", 401
        # What is not JSON (TeXML sends forms) is not for this app.
        if request.mimetype != "application/json":
            return "", 200
        event = json.loads(body).get("data") or {}
        handler = HANDLERS.get(event.get("event_type"))
        if handler:
            inbox = open_inbox(path)
            try:
                handler(inbox, event)
            finally:
                inbox.close()
        # 200 says that it is done. An exception is a 500, after which the
        # sidecar tries again.
        return "", 200

    return app


if __name__ == "__main__":
    if not os.environ.get("TELNYX_PUBLIC_KEY"):
        sys.exit("app.py: TELNYX_PUBLIC_KEY is not set: hookswitch keys forward prints it")
    create_app(os.environ["TELNYX_PUBLIC_KEY"], os.environ.get("INBOX", "inbox.db")).run(
        host=os.environ.get("HOST", "127.0.0.1"), port=int(os.environ.get("PORT", "5000"))
    )
