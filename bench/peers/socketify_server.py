"""The measured application on socketify, which carries the uWebSockets core: `socketify_server.py PORT`."""

import json
import sys

from socketify import App, AppListenOptions, CompressOptions, OpCode


def on_message(ws, text, _opcode):
    message = json.loads(text)
    payload = message["payload"]
    match message["type"]:
        case "pub":
            app.publish(payload["topic"], text, OpCode.TEXT, False)
        case "sub":
            ws.subscribe(payload["topic"])
            ws.send('{"type":"sub.response","payload":{"ok":true}}', OpCode.TEXT)
        case "bars.get":
            topic = f"bars:{payload['symbol']}:{payload['timeframe']}"
            reply = {"type": "bars.get.response", "id": message["id"], "payload": {"topic": topic}}
            ws.send(json.dumps(reply, separators=(",", ":")), OpCode.TEXT)


app = App()
app.ws(
    "/ws",
    {
        "compression": CompressOptions.DISABLED,
        "max_payload_length": 64 * 1024,
        "idle_timeout": 120,
        "max_backpressure": 16 * 1024 * 1024,
        "message": on_message,
    },
)
app.listen(AppListenOptions(port=int(sys.argv[1]), host="127.0.0.1"), lambda _config: None)
# Not `app.run()`: its asyncio loop polls libuv all the time, which would be charged to uWebSockets.
app.loop.uv_loop.run()
