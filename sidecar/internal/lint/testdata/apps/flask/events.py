"""The clinic's own events, which other services of ours read from a queue."""

FINAL = ["reminder.delivered", "reminder.failed"]
OWN = {"number_order.completed": "bought", "call.missed": "call them back"}


def publish(name, subject):
    queue.put({"type": name, "subject": subject})


def on_call_end(call):
    if call.answered_at is None:
        publish("call.missed", call.id)


def handle(message):
    if message["type"] == "call.missed":
        remind(message["subject"])
    elif message["type"] == "reminder.delivered":
        archive(message["subject"])
