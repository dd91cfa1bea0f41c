"""The measured application on FastWS, under uvicorn and uvloop: `fastws_server.py PORT`.

FastWS knows no ids beside the payload, so the id of a request for bars is a part of its payload.
"""

import sys
from contextlib import asynccontextmanager
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI
from fastws import Client, FastWS, Message
from pydantic import BaseModel


class Subscription(BaseModel):
    topic: str


class Subscribed(BaseModel):
    ok: bool


class Bar(BaseModel):
    topic: str
    t: int
    o: float
    h: float
    l: float
    c: float
    v: int
    n: int
    seq: int


class Series(BaseModel):
    id: int
    symbol: str
    timeframe: int


class Place(BaseModel):
    id: int
    topic: str


service = FastWS()


@service.send("sub", reply="sub.response")
async def subscribe(payload: Subscription, client: Client) -> Subscribed:
    client.subscribe(payload.topic)
    return Subscribed(ok=True)


@service.send("pub")
async def publish(payload: Bar, app: FastWS) -> None:
    await app.server_send(Message(type="bar", payload=payload.model_dump()), topic=payload.topic)


@service.recv("bar")
async def bar(payload: Bar) -> Bar:
    return payload


@service.send("bars.get", reply="bars.get.response")
async def bars_get(payload: Series) -> Place:
    return Place(id=payload.id, topic=f"bars:{payload.symbol}:{payload.timeframe}")


@asynccontextmanager
async def lifespan(app: FastAPI):
    service.setup(app)
    yield


app = FastAPI(lifespan=lifespan)


@app.websocket("/ws")
async def endpoint(client: Annotated[Client, Depends(service.manage)]):
    await service.serve(client)


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        backlog=4096,
        loop="uvloop",
        ws="websockets",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        log_level="error",
    )
