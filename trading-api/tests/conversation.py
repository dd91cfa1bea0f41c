"""The conversation of the project's first documents, from Python's `websockets`."""

import asyncio
import json
import sys

import websockets


async def ask(socket, name, payload):
    await socket.send(json.dumps({"type": name, "payload": payload}))
    return json.loads(await socket.recv())


async def main(url):
    async with websockets.connect(url) as socket:
        pong = await ask(socket, "simple.ping", {"timestamp": 1234567890})
        assert pong["type"] == "simple.pong" and pong["payload"]["timestamp"] == 1234567890, pong

        reply = await ask(socket, "bars.subscribe", {"symbol": "AAPL", "resolution": "1"})
        assert reply["type"] == "bars.subscribe.response", reply
        assert reply["payload"]["status"] == "ok" and reply["payload"]["topic"] == "bars:AAPL:1", reply

        snapshot = json.loads(await socket.recv())
        assert snapshot["snapshot"] is True, snapshot
        for _ in range(10):
            update = json.loads(await socket.recv())
            assert update["type"] == "bars.update" and "close" in update["payload"], update

        await socket.send(json.dumps({"type": "bars.unsubscribe", "payload": {"symbol": "AAPL"}}))
        while (reply := json.loads(await socket.recv()))["type"] == "bars.update":
            pass
        assert reply["type"] == "bars.unsubscribe.response", reply

        error = await ask(socket, "bars.subscribe", {"symbol": 5})
        assert error["payload"]["code"] == "invalid_payload", error
        try:
            await socket.recv()
            raise AssertionError("the connection is still open")
        except websockets.ConnectionClosed as closed:
            assert (closed.rcvd.code, closed.rcvd.reason) == (1003, "Could not validate payload"), closed


asyncio.run(main(sys.argv[1]))
