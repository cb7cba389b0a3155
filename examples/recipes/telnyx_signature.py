"""What the Django and the FastAPI app share: Telnyx's signature."""

import base64
import binascii
import os
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KEY = Ed25519PublicKey.from_public_bytes(base64.b64decode(os.environ["TELNYX_PUBLIC_KEY"]))


def genuine(headers, body):
    """Reports whether a request was signed with the key, within five minutes."""
    timestamp = headers.get("telnyx-timestamp", "")
    try:
        signature = base64.b64decode(headers.get("telnyx-signature-ed25519", ""), validate=True)
        KEY.verify(signature, timestamp.encode() + b"|" + body)
        return abs(time.time() - int(timestamp)) <= 300
    except (binascii.Error, InvalidSignature, ValueError):
        return False
