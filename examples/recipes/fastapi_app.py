"""Run it with: uvicorn fastapi_app:app --port 5000"""

import json

from fastapi import FastAPI, HTTPException, Request

from telnyx_signature import genuine

app = FastAPI()


# A parameter such as "event: dict" would be what FastAPI has parsed: only
# Request has what was signed.
@app.post("/webhooks")
async def webhooks(request: Request):
    body = await request.body()
    if not genuine(request.headers, body):
        raise HTTPException(401, "signature")
    if request.headers.get("content-type", "").startswith("application/json"):  # TeXML sends forms
        event = json.loads(body).get("data") or {}
        print(event.get("event_type"))
    return "done"  # when the effect is durable; an exception is a 500
