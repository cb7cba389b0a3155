"""A hookswitch plugin that keeps track of who does not want messages.

It understands STOP and its like, START and HELP in text messages that arrive.
Only the standard library is needed. hookswitch runs it, as optout.plugin.json
says, and writes one event per line to its standard input; it answers each with
one line on its standard output. Everything it prints to standard error ends up
in hookswitch's log.

The list is a SQLite database, optout.sqlite3, in the working directory that
hookswitch gives to plugins. Your application can read it: who is in "optouts"
must not be written to, and what is in "outbox" wants to be sent.
"""

import json
import sqlite3
import sys
from datetime import datetime, timezone

OUT = {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"}
IN = {"START", "UNSTOP", "YES"}
HELP = {"HELP", "INFO"}

TEXTS = {
    "out": "You are unsubscribed and will get no more messages. START undoes this.",
    "in": "You are subscribed again. STOP ends this.",
    "help": "STOP ends these messages, START resumes them.",
}

SCHEMA = """
CREATE TABLE IF NOT EXISTS optouts (
    customer TEXT, sender TEXT, out INTEGER NOT NULL, since TEXT NOT NULL,
    PRIMARY KEY (customer, sender)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS handled (event_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY, sender TEXT NOT NULL, customer TEXT NOT NULL, text TEXT NOT NULL);
"""


class Unusable(Exception):
    """The event can never be handled, however often it comes."""


def configure(settings):
    """Take the texts from the settings; return what is wrong with them."""
    errors = []
    for key, value in settings.items():
        if key not in TEXTS:
            errors.append({"field": key, "message": "is unknown: use " + ", ".join(TEXTS)})
        elif not isinstance(value, str) or not value.strip():
            errors.append({"field": key, "message": "must be a text"})
        else:
            TEXTS[key] = value
    return errors


def message(event):
    """Return sender, customer and text of a message, and when it was sent."""
    try:
        payload = json.loads(event["body"])["data"]["payload"]
        customer = payload["from"]["phone_number"]
        sender = payload["to"][0]["phone_number"]
        return sender, customer, payload.get("text") or "", when(event)
    except (KeyError, IndexError, TypeError, ValueError) as e:
        raise Unusable(f"not a message with a sender and a recipient: {e!r}") from e


def when(event):
    """Return the time of the event in a form that sorts."""
    for text in (event["occurred_at"], event["received_at"]):
        try:
            at = datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:  # not every event says it, and not every text is a date
            continue
        if at.tzinfo:
            return at.astimezone(timezone.utc).isoformat(timespec="microseconds")
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


def handle(db, event):
    """Handle one event, and return what was done for the record of the delivery.

    An event can come twice, and a later one can come first. So the event is
    noted in the same transaction in which its change is made, and a change that
    is older than what is known changes nothing.
    """
    sender, customer, text, at = message(event)
    word = text.strip().strip(".!").upper()
    with db:  # one transaction, undone by an exception
        noted = db.execute("INSERT OR IGNORE INTO handled VALUES (?)", (event["idempotency_key"],))
        if noted.rowcount == 0:
            return "handled before"
        if word in HELP:
            return reply(db, sender, customer, "help")
        if word in OUT or word in IN:
            changed = db.execute(
                """INSERT INTO optouts VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE
                   SET out = excluded.out, since = excluded.since WHERE excluded.since >= since""",
                (customer, sender, word in OUT, at))
            if changed.rowcount == 0:
                return "older than what is known of this number"
            return reply(db, sender, customer, "out" if word in OUT else "in")
        row = db.execute("SELECT out FROM optouts WHERE customer = ? AND sender = ?", (customer, sender)).fetchone()
        return "from a number that has opted out" if row and row[0] else "nothing to do"


def reply(db, sender, customer, what):
    """Leave an answer in the outbox. Sending it is up to your application."""
    db.execute("INSERT INTO outbox (sender, customer, text) VALUES (?, ?, ?)", (sender, customer, TEXTS[what]))
    return what


def answer(db, event):
    """Return the result of an event."""
    try:
        return {"seq": event["seq"], "ok": True, "text": handle(db, event)}
    except Unusable as e:
        return {"seq": event["seq"], "fail": str(e)}
    except sqlite3.OperationalError as e:  # locked, or the disk is full
        return {"seq": event["seq"], "error": f"database: {e}", "retry_after_ms": 1000}
    except Exception as e:  # the sidecar tries again by its schedule
        print(f"event {event['event_id']}: {e!r}", file=sys.stderr)
        return {"seq": event["seq"], "error": repr(e)}


def main():
    db = sqlite3.connect("optout.sqlite3")
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(SCHEMA)
    say({"hello": {"version": "1.0.0", "language": "python", "can": ["ping"]}})
    for line in sys.stdin:  # until hookswitch has no more, or is gone
        frame = json.loads(line)
        if "ping" in frame:
            say({"pong": frame["ping"]})
        elif "configure" in frame:
            say({"configured": {"errors": configure(frame["configure"]["settings"])}})
        elif "seq" in frame:
            say(answer(db, frame))


def say(frame):
    print(json.dumps(frame), flush=True)


if __name__ == "__main__":
    main()
