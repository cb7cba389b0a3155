"""FastAPI has parsed the parameter: a form is a 422."""

import json

from fastapi import FastAPI, HTTPException, Request

from telnyx_signature import genuine

app = FastAPI()


@app.post("/webhooks")
async def webhooks(event: dict, request: Request):
    if not genuine(request.headers, json.dumps(event).encode()):
        raise HTTPException(401, "signature")
