"""The generated Python client against the trading API, a proxy that cuts sockets, and scripted servers."""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import http
import json
import logging
import os
import signal
import unittest
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

import client
from client import ApiError, ClientError, ConnectionLost, ConnectionRefused, Reconnect, SubscriptionEnded, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds until a test has waited too long."""
AT_ONCE = Reconnect(first=0.0)
"""No pause before a reconnect."""
NEVER = Reconnect(first=1000.0, random=lambda: 1.0, longest=1000.0)
"""A pause that no test survives."""

BARS: client.BarsSubscription = {"symbol": "AAPL", "resolution": "1"}
TOPIC = "bars:AAPL:1"


async def soon(awaited: Awaitable[T]) -> T:
    return await asyncio.wait_for(awaited, PATIENCE)


# The trading API and a proxy before it.


class Program:
    """The trading API as a process of its own, which comes back on the same port."""

    def __init__(self) -> None:
        self.port = 0

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            os.environ["TRADING_API"], "--listen", f"127.0.0.1:{self.port}", stderr=asyncio.subprocess.PIPE
        )
        assert self.process.stderr is not None
        while b"http://" not in (line := await soon(self.process.stderr.readline())):
            assert line, "the program has ended"
        self.port = int(line.rsplit(b":", 1)[1])
        self.reading = asyncio.create_task(self.process.stderr.read())

    async def ready(self) -> None:
        """Waits until all symbols are listed."""
        while b'"phase":"live"' not in await soon(self._health()):
            pass

    async def _health(self) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        health = await reader.read()
        writer.close()
        await writer.wait_closed()
        return health

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/api/v1/ws"

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        await soon(self.process.wait())
        await soon(self.reading)


class Proxy:
    """A TCP proxy that cuts its connections in mid-stream, and can hold back what the server says."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._flows = asyncio.Event()
        self._flows.set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}/api/v1/ws"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks)

    def hold(self) -> None:
        self._flows.clear()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        self._flows.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, back]
        for source, target, waits in [(reader, back, False), (there, writer, True)]:
            task = asyncio.create_task(self._pump(source, target, waits))
            self._tasks.add(task)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, waits: bool) -> None:
        try:
            while data := await source.read(65536):
                if waits:
                    await self._flows.wait()
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            target.close()


class TradingApi(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.program = Program()
        await self.program.start()
        await self.program.ready()

    async def asyncTearDown(self) -> None:
        await self.program.kill()

    async def test_every_operation_of_the_document_can_be_called(self) -> None:
        async with connect(self.program.url) as api:
            ping: client.Ping = {"timestamp": 7}
            quotes: client.QuotesSubscription = {"symbols": ["AAPL", "MSFT"]}
            replies: dict[str, Any] = {
                "alerts.subscribe": await api.alerts.subscribe(),
                "alerts.unsubscribe": await api.alerts.unsubscribe(),
                "bars.subscribe": await api.bars.subscribe(BARS),
                "bars.unsubscribe": await api.bars.unsubscribe(BARS),
                "info": await api.info(),
                "list_subscriptions": await api.list_subscriptions(),
                "multi_subscribe": await api.multi_subscribe({"symbols": ["AAPL", "GOOGL"]}),
                "clear_subscriptions": await api.clear_subscriptions(),
                "ping": await api.ping({"any": 1}),
                "quotes.subscribe": await api.quotes.subscribe(quotes),
                "quotes.unsubscribe": await api.quotes.unsubscribe(quotes),
                "simple.ping": await api.simple.ping(ping),
            }
            self.assertIn("server_time", await api.ping())
        with open(os.environ["ASYNCAPI"], encoding="utf-8") as file:
            document = json.load(file)
        (channel,) = document["channels"].values()
        documented = {message["$ref"].rsplit("/", 1)[1] for message in channel["publish"]["message"]["oneOf"]}
        self.assertEqual(set(replies), documented)
        self.assertEqual(replies["bars.subscribe"]["topic"], TOPIC)
        self.assertEqual(replies["multi_subscribe"]["topics"], ["bars:AAPL:1", "bars:GOOGL:1"])
        self.assertEqual(replies["clear_subscriptions"]["count"], 2)
        self.assertEqual(replies["simple.ping"]["timestamp"], 7)
        self.assertEqual(replies["ping"]["any"], 1)

    async def test_a_refusal_is_a_typed_error(self) -> None:
        async with connect(self.program.url) as api:
            with self.assertRaises(ApiError) as refused:
                await api.bars.subscribe({"symbol": "NOPE"})
            self.assertEqual(refused.exception.code, "unknown_symbol")
            self.assertEqual(refused.exception.operation, "bars.subscribe")
            self.assertEqual(refused.exception.details[0]["path"], "/symbol")
            with self.assertRaises(ApiError) as refused:
                await api.bars.subscribe({"resolution": "1"})  # type: ignore[typeddict-item]
            self.assertEqual(refused.exception.code, "invalid_payload")
            with self.assertRaises(ApiError) as refused:
                await anext(api.bars.stream({"symbol": "NOPE"}))
            self.assertEqual(refused.exception.code, "unknown_symbol")
            self.assertEqual(api.state, "open")

    async def test_a_stream_begins_with_a_snapshot_and_goes_on(self) -> None:
        async with connect(self.program.url) as api:
            seen: list[client.Update[client.Bar]] = []
            async for update in api.bars.stream(BARS).frames():
                seen.append(update)
                if len(seen) == 3:
                    break
            self.assertEqual([update.snapshot for update in seen], [True, False, False])
            self.assertEqual({(update.type, update.topic) for update in seen}, {("bars.update", TOPIC)})
            self.assertGreater(seen[0].payload["close"], 0)

    async def test_streams_share_a_subscription_and_the_last_to_end_unsubscribes(self) -> None:
        async with connect(self.program.url) as api:
            one, two = api.bars.stream(BARS), api.bars.stream({"resolution": "1", "symbol": "AAPL"})
            await soon(anext(one))
            await soon(anext(two))
            self.assertEqual((await api.list_subscriptions())["topics"], [TOPIC])
            await one.aclose()
            self.assertEqual((await api.list_subscriptions())["topics"], [TOPIC])
            await soon(anext(two))
            await two.aclose()
            self.assertEqual((await api.list_subscriptions())["topics"], [])

    async def test_a_stream_leaves_alone_what_was_subscribed_by_hand(self) -> None:
        async with connect(self.program.url) as api:
            await api.bars.subscribe(BARS)
            async for bar in api.bars.stream(BARS):
                self.assertGreater(bar["close"], 0)
                break
            self.assertEqual((await api.list_subscriptions())["topics"], [TOPIC])
            stream = api.bars.stream(BARS)
            await soon(anext(stream))
            await api.bars.unsubscribe(BARS)
            await soon(_rest(stream))

    async def test_subscribe_requests_without_a_namespace_have_streams(self) -> None:
        async with connect(self.program.url) as api:
            topics: set[str] = set()
            async for update in api.stream_multi_subscribe({"symbols": ["AAPL", "GOOGL"]}).frames():
                topics.add(update.topic)
                if len(topics) == 2:
                    break
            await _until(lambda: _has_topics(api, set()))

    async def test_clearing_all_subscriptions_ends_all_streams(self) -> None:
        async with connect(self.program.url) as api:
            streams = [api.bars.stream(BARS), api.stream_multi_subscribe({"symbols": ["GOOGL"]})]
            for stream in streams:
                await soon(anext(stream))
            await api.clear_subscriptions()
            for stream in streams:
                await soon(_rest(stream))

    async def test_streams_survive_cut_sockets_and_requests_do_not(self) -> None:
        async with Proxy(self.program.port) as proxy, connect(proxy.url, reconnect=AT_ONCE) as api:
            await api.quotes.subscribe({"symbol": "MSFT"})
            frames = api.bars.stream(BARS).frames()
            await _snapshot(frames)
            for _ in range(3):
                self.assertFalse((await soon(anext(frames))).snapshot)
                proxy.hold()
                pending = [asyncio.create_task(api.ping()) for _ in range(5)]
                await asyncio.sleep(0)
                proxy.cut()
                for failure in await soon(asyncio.gather(*pending, return_exceptions=True)):
                    self.assertIsInstance(failure, ConnectionLost)
                await _snapshot(frames)
            await _until(lambda: _has_topics(api, {TOPIC, "quotes:MSFT"}))

    async def test_everything_comes_back_after_the_server_was_killed(self) -> None:
        states: list[str] = []
        async with connect(self.program.url, reconnect=Reconnect(first=0.05, longest=0.2)) as api:
            api.on_state(states.append)
            await api.alerts.subscribe()
            bars = api.bars.stream(BARS).frames()
            quotes = api.quotes.stream({"symbols": ["AAPL", "MSFT"]}).frames()
            for _ in range(5):
                await soon(anext(bars))
            await soon(anext(quotes))
            os.kill(self.program.process.pid, signal.SIGSTOP)
            pending = [asyncio.create_task(api.info()) for _ in range(5)]
            await asyncio.sleep(0)
            os.kill(self.program.process.pid, signal.SIGCONT)
            await self.program.kill()
            answers = await soon(asyncio.gather(*pending, return_exceptions=True))
            self.assertTrue(all(isinstance(each, (ConnectionLost, dict)) for each in answers), answers)
            waiting = asyncio.create_task(api.ping(timeout=PATIENCE))
            await self.program.start()
            await soon(waiting)  # Not all symbols are listed yet.
            topics: set[str] = set()
            await _snapshot(bars)
            while len(topics) < 2:
                update = await soon(anext(quotes))
                topics |= {update.topic} if update.snapshot else set()
            await _until(lambda: _has_topics(api, {TOPIC, "quotes:AAPL", "quotes:MSFT", "alerts"}))
        self.assertEqual(states[0], "open")
        self.assertIn("waiting", states)
        self.assertEqual(states[-1], "closed")


# Scripted servers.


class Peer:
    """The server's side of one connection, as a script tells it."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.headers = socket.request.headers if socket.request else {}
        self.path = socket.request.path if socket.request else ""

    async def expect(self, operation: str) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(await self.socket.recv())
        assert frame["type"] == operation, frame
        return frame

    async def send(self, kind: str, payload: Any = None, **beside: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **beside, "payload": payload}))

    async def reply(self, request: dict[str, Any], payload: Any, **beside: Any) -> None:
        await self.send(f"{request['type']}.response", payload, id=request["id"], **beside)

    async def refuse(self, request: dict[str, Any], code: str, **more: Any) -> None:
        payload = {"code": code, "message": "no", "operation": request["type"], **more}
        await self.send("error", payload, id=request["id"])

    async def subscribed(self, topic: str = TOPIC, **beside: Any) -> dict[str, Any]:
        """Takes a subscribe request and says yes."""
        request = await self.expect(f"{topic.split(':')[0]}.subscribe")
        await self.reply(request, {"topic": topic}, **beside)
        return request

    async def unsubscribed(self, topic: str = TOPIC) -> None:
        request = await self.expect(f"{topic.split(':')[0]}.unsubscribe")
        await self.reply(request, {"topic": topic})

    async def update(self, close: float, topic: str = TOPIC, **beside: Any) -> None:
        await self.send(f"{topic.split(':')[0]}.update", {"close": close}, topic=topic, **beside)


Scene = Callable[[Peer], Coroutine[Any, Any, None]]


@asynccontextmanager
async def script(*scenes: Scene, port: int = 0, **options: Any) -> AsyncIterator[str]:
    """A server that plays one scene for each connection, the last again and again; its address."""
    left = list(scenes)
    faults: list[Exception] = []

    async def play(socket: ServerConnection) -> None:
        scene = left.pop(0) if len(left) > 1 else left[0]
        try:
            await scene(Peer(socket))
            await socket.wait_closed()
        except ConnectionClosed:
            pass
        except Exception as fault:
            faults.append(fault)
            await socket.close(1000)

    async with serve(play, "127.0.0.1", port, **options) as server:
        yield f"ws://127.0.0.1:{port_of(server)}"
    for fault in faults:
        raise fault


async def idle(peer: Peer) -> None:
    await peer.socket.wait_closed()


async def echo(peer: Peer) -> None:
    """Answers pings."""
    while True:
        request = await peer.expect("ping")
        await peer.send("pong", request.get("payload"), id=request["id"])


def port_of(server: Server) -> int:
    (listening,) = server.sockets
    port: int = listening.getsockname()[1]
    return port


class Told(Reconnect):
    """No pause, and a list of what it was asked for."""

    def __init__(self, asked: list[int], stable_after: float) -> None:
        super().__init__(stable_after=stable_after)
        object.__setattr__(self, "asked", asked)

    asked: list[int]

    def delay(self, failures: int) -> float:
        self.asked.append(failures)
        return 0.0


def ends_with(code: int, reason: str = "") -> Scene:
    async def scene(peer: Peer) -> None:
        await peer.expect("ping")
        await peer.socket.close(code, reason)

    return scene


class Scripted(unittest.IsolatedAsyncioTestCase):
    # Requests.

    async def test_a_request_without_an_answer_times_out_and_the_next_one_works(self) -> None:
        async def late(peer: Peer) -> None:
            first = await peer.expect("ping")
            second = await peer.expect("ping")
            await peer.send("pong", {"late": True}, id=first["id"])
            await peer.send("pong", {"late": False}, id=second["id"])

        async with script(late) as url, connect(url) as api:
            await soon(api.opened())
            with self.assertRaisesRegex(TimeoutError, "`ping` got no answer within 0.05 s"):
                await api.ping(timeout=0.05)
            self.assertEqual(await soon(api.ping()), {"late": False})

    async def test_a_cancelled_request_is_forgotten(self) -> None:
        arrived = asyncio.Event()

        async def scene(peer: Peer) -> None:
            first = await peer.expect("ping")
            arrived.set()
            await peer.expect("ping")
            await peer.send("pong", {}, id=first["id"])
            await echo(peer)

        async with script(scene) as url, connect(url) as api:
            waiting = asyncio.create_task(api.ping())
            await soon(arrived.wait())
            waiting.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await waiting
            with self.assertRaises(TimeoutError):
                await api.ping(timeout=0.05)
            self.assertEqual(await soon(api.ping({"n": 1})), {"n": 1})

    async def test_answers_are_paired_by_id(self) -> None:
        async def backwards(peer: Peer) -> None:
            for request in reversed([await peer.expect("ping") for _ in range(20)]):
                await peer.send("pong", request["payload"], id=request["id"])

        async with script(backwards) as url, connect(url) as api:
            answers = await soon(asyncio.gather(*(api.ping({"n": n}) for n in range(20))))
            self.assertEqual([dict(answer)["n"] for answer in answers], list(range(20)))

    async def test_requests_wait_for_the_connection_but_not_longer_than_their_timeout(self) -> None:
        async with script(echo) as url:
            port = int(url.rsplit(":", 1)[1])
        async with connect(url, reconnect=Reconnect(first=0.01, longest=0.01)) as api:
            with self.assertRaisesRegex(TimeoutError, "found no connection"):
                await api.ping(timeout=0.05)
            waiting = asyncio.create_task(api.ping({"n": 1}, timeout=PATIENCE))
            async with script(echo, port=port):
                self.assertEqual(await soon(waiting), {"n": 1})

    async def test_an_error_has_all_that_the_server_tells(self) -> None:
        async def scene(peer: Peer) -> None:
            request = await peer.expect("ping")
            details = [{"path": "/a", "message": "b"}]
            await peer.refuse(request, "rate_limited", details=details, retry_after_ms=5)

        async with script(scene) as url, connect(url) as api:
            with self.assertRaises(ApiError) as refused:
                await api.ping()
            error = refused.exception
            self.assertEqual((error.code, error.message, error.operation), ("rate_limited", "no", "ping"))
            self.assertEqual((error.details, error.retry_after_ms), ([{"path": "/a", "message": "b"}], 5))

    async def test_what_is_no_message_is_passed_over(self) -> None:
        async def scene(peer: Peer) -> None:
            for junk in ["", "nonsense", "[]", "7", "null", '{"type":7}', '{"type":"draining"}', '{"no":"type"}']:
                await peer.socket.send(junk)
            await peer.socket.send('{"type":"error","payload":null}')
            await peer.socket.send('{"type":"unsubscribed","topic":["x"]}')
            await peer.socket.send(b"\xc3\xa4")
            await echo(peer)

        with self.assertLogs("fastws.client", logging.WARNING):
            async with script(scene) as url, connect(url) as api:
                self.assertEqual(await soon(api.ping({"n": 1})), {"n": 1})

    async def test_what_is_no_json_is_refused_before_it_is_sent(self) -> None:
        async with script(echo) as url, connect(url) as api:
            with self.assertRaises(ValueError):
                await api.ping({"n": float("nan")})
            with self.assertRaises(ValueError):
                await anext(api.bars.stream({"symbol": float("inf")}))  # type: ignore[typeddict-item]
            self.assertEqual(await soon(api.ping({"n": 1})), {"n": 1})

    # Events.

    async def test_callbacks_get_frames_until_they_are_removed_and_may_fail(self) -> None:
        async def scene(peer: Peer) -> None:
            while True:
                request = await peer.expect("ping")
                await peer.send("system.notification", {"message": "hi", "timestamp": 1})
                await peer.send("pong", {}, id=request["id"])

        def fail(_: object) -> None:
            raise RuntimeError("a fault of the callback")

        seen: list[str] = []
        async with script(scene) as url, connect(url) as api:
            with self.assertLogs("fastws.client", logging.ERROR):
                end_failing = api.on("system.notification", fail)
                end = api.on("system.notification", lambda frame: seen.append(frame["payload"]["message"]))
                await soon(api.ping())
            end_failing()
            end()
            await soon(api.ping())
        self.assertEqual(seen, ["hi"])

    # Connections.

    async def test_close_codes_are_obeyed(self) -> None:
        for code in [1001, 1011, 1012, 1013, 3000, 4100, 4101, 4102, 4103, 4104, 4105, 4199]:
            with self.subTest(code=code):
                async with script(ends_with(code), echo) as url, connect(url, reconnect=AT_ONCE) as api:
                    with self.assertRaises(ConnectionLost) as lost:
                        await soon(api.ping())
                    self.assertEqual(lost.exception.code, code)
                    self.assertEqual(await soon(api.ping({"n": 1})), {"n": 1})
        for code in [1002, 1003, 1007, 1008, 1009, 4000, 4001, 4009, 4099]:
            with self.subTest(code=code):
                async with script(ends_with(code, "go away"), echo) as url, connect(url, reconnect=AT_ONCE) as api:
                    stream = api.bars.stream(BARS)
                    with self.assertRaises(ConnectionLost):
                        await soon(api.ping())
                    with self.assertRaises(ConnectionRefused) as refused:
                        await soon(api.ping())
                    self.assertEqual((refused.exception.code, refused.exception.reason), (code, "go away"))
                    self.assertEqual((api.state, api.last_close), ("closed", (code, "go away")))
                    with self.assertRaises(ConnectionRefused):
                        await soon(anext(stream))

    async def test_a_normal_close_stops_without_an_error(self) -> None:
        async def bye(peer: Peer) -> None:
            await peer.subscribed()
            await peer.update(1, snapshot=True)
            await peer.socket.close(1000, "bye")

        async with script(bye, echo) as url, connect(url, reconnect=AT_ONCE) as api:
            self.assertEqual(await soon(_rest(api.bars.stream(BARS))), [{"close": 1}])
            with self.assertRaises(ConnectionLost):
                await api.ping()
            self.assertEqual(api.state, "closed")

    async def test_a_notice_of_draining_sets_the_delay(self) -> None:
        async def drain(peer: Peer) -> None:
            await peer.send("draining", {"deadline_ms": 1000, "retry_after_ms": 5})
            await peer.expect("ping")
            await peer.socket.close(1012)

        async with script(drain, echo) as url, connect(url, reconnect=NEVER) as api:
            with self.assertRaises(ConnectionLost):
                await soon(api.ping())
            self.assertEqual(await soon(api.ping({"n": 1})), {"n": 1})

    async def test_the_back_off_grows_has_jitter_and_a_limit(self) -> None:
        full = Reconnect(first=1.0, factor=2.0, longest=10.0, random=lambda: 1.0)
        self.assertEqual([full.delay(n) for n in range(6)], [1, 2, 4, 8, 10, 10])
        half = Reconnect(first=1.0, random=lambda: 0.5)
        self.assertEqual([half.delay(n) for n in range(3)], [0.5, 1, 2])
        self.assertEqual(half.delay(10**6), 15)
        delays = {Reconnect().delay(3) for _ in range(20)}
        self.assertGreater(len(delays), 1)
        self.assertTrue(all(0 <= delay <= 4 for delay in delays))

    async def test_a_stable_connection_sets_the_count_of_failures_back(self) -> None:
        for stable_after, expected in [(0.0, [0, 0, 0]), (1000.0, [0, 1, 2])]:
            asked: list[int] = []
            goodbye = ends_with(1012)
            async with script(goodbye, goodbye, goodbye, echo) as url:
                async with connect(url, reconnect=Told(asked, stable_after)) as api:
                    for _ in range(3):
                        with self.assertRaises(ConnectionLost):
                            await soon(api.ping())
                    await soon(api.ping())
            self.assertEqual(asked, expected)

    async def test_it_gives_up_after_as_many_attempts_as_it_was_told(self) -> None:
        async with script(echo) as url:
            pass
        async with connect(url, reconnect=Reconnect(first=0.0, attempts=2)) as api:
            with self.assertRaises(ConnectionLost):
                await soon(api.ping())
            self.assertEqual(api.state, "closed")
            self.assertIn("Connect call failed", str(api.last_close))

    async def test_an_http_status_that_refuses_is_final_and_others_are_tried_again(self) -> None:
        statuses = [503, 429, 401]

        def answer(socket: ServerConnection, request: Request) -> Response:
            response = socket.respond(http.HTTPStatus(statuses.pop(0)), "no")
            response.headers["Retry-After"] = "0"
            return response

        async with script(idle, process_request=answer) as url, connect(url, reconnect=NEVER) as api:
            with self.assertRaises(ConnectionRefused) as refused:
                await soon(api.ping())
            self.assertEqual(refused.exception.code, 401)
        self.assertEqual(statuses, [])

    async def test_a_dead_connection_is_noticed(self) -> None:
        async with Silence() as url, connect(url, heartbeat=0.1, reconnect=AT_ONCE) as api:
            with self.assertRaises(ConnectionLost):
                await soon(api.ping())

    async def test_a_token_is_asked_for_at_each_connect_and_never_logged(self) -> None:
        tokens: list[str] = []

        async def hook() -> str:
            tokens.append(f"secret-{len(tokens) + 1}")
            return tokens[-1]

        seen: list[Any] = []

        async def expired(peer: Peer) -> None:
            seen.append(peer.headers["Authorization"])
            await peer.expect("ping")
            await peer.socket.close(4101, "token expired")

        async def fresh(peer: Peer) -> None:
            seen.append(peer.headers["Authorization"])
            await echo(peer)

        with self.assertLogs(level=logging.DEBUG) as logs:
            async with script(expired, fresh) as url, connect(url, token=hook, reconnect=AT_ONCE) as api:
                with self.assertRaises(ConnectionLost):
                    await soon(api.ping())
                await soon(api.ping())
        self.assertEqual(seen, ["Bearer secret-1", "Bearer secret-2"])
        told = [
            line for record, line in zip(logs.records, logs.output, strict=True) if record.name.startswith("fastws")
        ]
        self.assertNotIn("secret", "".join(told))
        self.assertTrue(told)

    async def test_tokens_come_from_strings_and_functions_and_a_failing_one_is_asked_again(self) -> None:
        seen: list[Any] = []

        async def scene(peer: Peer) -> None:
            seen.append(peer.headers["Authorization"])
            await echo(peer)

        asked: list[None] = []

        def hook() -> str:
            asked.append(None)
            if len(asked) == 1:
                raise RuntimeError("secret")
            return "second"

        async with script(scene) as url:
            async with connect(url, token="first") as api:
                await soon(api.ping())
            async with connect(url, token=hook, reconnect=AT_ONCE) as api:
                await soon(api.ping())
        self.assertEqual(seen, ["Bearer first", "Bearer second"])

    async def test_a_token_goes_into_the_query_where_the_api_wants_it_there(self) -> None:
        paths: list[str] = []

        async def scene(peer: Peer) -> None:
            paths.append(peer.path)
            await echo(peer)

        async with script(scene) as url:
            connection = client.Connection(
                f"{url}/ws?a=1",
                token="a&b",
                token_query="token",
                headers=None,
                ssl=None,
                timeout=PATIENCE,
                reconnect=AT_ONCE,
                heartbeat=30.0,
                max_size=None,
                subscribes={},
                unsubscribes={},
            )
            async with client.Api(connection) as api:
                await soon(api.ping())
        self.assertEqual(paths, ["/ws?a=1&token=a%26b"])

    async def test_states_are_told_in_order(self) -> None:
        states: list[str] = []
        async with script(ends_with(1012), echo) as url:
            api = connect(url, reconnect=AT_ONCE)
            self.assertEqual(api.state, "closed")
            api.on_state(states.append)
            with self.assertRaisesRegex(ClientError, "async with"):
                await api.ping()
            async with api:
                with self.assertRaises(ConnectionLost):
                    await soon(api.ping())
                await soon(api.ping())
        self.assertEqual(states, ["connecting", "open", "waiting", "connecting", "open", "closed"])

    async def test_an_address_of_something_else_is_refused(self) -> None:
        for url in ["http://localhost", "localhost:8000", "ws://"]:
            with self.assertRaises(ValueError):
                connect(url)

    # Subscriptions.

    async def test_frames_right_behind_the_reply_are_not_lost(self) -> None:
        async def scene(peer: Peer) -> None:
            await peer.subscribed()
            for close in range(5):
                await peer.update(close, snapshot=close == 0)

        async with script(scene) as url, connect(url) as api:
            stream = api.bars.stream(BARS)
            self.assertEqual([(await soon(anext(stream)))["close"] for _ in range(5)], [0, 1, 2, 3, 4])
            self.assertEqual(stream.topics, {TOPIC})

    async def test_leaving_the_loop_unsubscribes_however_it_is_left(self) -> None:
        ended = asyncio.Queue[None]()

        async def scene(peer: Peer) -> None:
            while True:
                await peer.subscribed()
                await peer.update(1, snapshot=True)
                await peer.unsubscribed()
                ended.put_nowait(None)

        async with script(scene) as url, connect(url) as api:
            async for _ in api.bars.stream(BARS):
                break
            await soon(ended.get())

            async for _ in api.bars.stream(BARS).frames():
                break
            await soon(ended.get())

            async with aclosing(api.bars.stream(BARS)) as stream:
                await soon(anext(stream))
            await soon(ended.get())

            async def read() -> None:
                async for _ in api.bars.stream(BARS):
                    got.set()

            got = asyncio.Event()
            reading = asyncio.create_task(read())
            await soon(got.wait())
            reading.cancel()
            await asyncio.wait([reading])
            await soon(ended.get())

            with self.assertRaises(RuntimeError):
                async for _ in api.bars.stream(BARS):
                    raise RuntimeError
            gc.collect()
            await soon(ended.get())

    async def test_a_late_stream_gets_a_fresh_snapshot_and_no_second_subscription(self) -> None:
        async def scene(peer: Peer) -> None:
            await peer.subscribed()
            await peer.update(1, snapshot=True)
            await peer.update(2)
            await peer.unsubscribed()
            await peer.subscribed()
            await peer.update(3, snapshot=True)
            await peer.unsubscribed()
            await echo(peer)

        async with script(scene) as url, connect(url) as api:
            early, late = api.bars.stream(BARS), api.bars.stream(BARS)
            self.assertEqual([(await soon(anext(early)))["close"] for _ in range(2)], [1, 2])
            self.assertEqual(await soon(anext(late)), {"close": 3})
            self.assertEqual(await soon(anext(early)), {"close": 3})
            await early.aclose()
            await late.aclose()
            await soon(api.ping())

    async def test_overlapping_subscriptions_do_not_end_each_other(self) -> None:
        async def scene(peer: Peer) -> None:
            both = {"topics": ["quotes:A", "quotes:B"]}
            await peer.reply(await peer.expect("quotes.subscribe"), both)
            await peer.update(1, "quotes:A")
            await peer.reply(await peer.expect("quotes.subscribe"), {"topic": "quotes:A"})
            await peer.update(2, "quotes:A")
            self.assertEqual((await peer.expect("quotes.unsubscribe"))["payload"], {"symbol": "A"})
            await peer.expect("quotes.unsubscribe")
            await peer.reply(await peer.expect("quotes.subscribe"), both)
            await peer.update(3, "quotes:A")

        async with script(scene) as url, connect(url) as api:
            both, one = api.quotes.stream({"symbols": ["A", "B"]}), api.quotes.stream({"symbol": "A"})
            self.assertEqual(await soon(anext(both)), {"close": 1})
            self.assertEqual(await soon(anext(one)), {"close": 2})
            self.assertEqual(await soon(anext(both)), {"close": 2})
            await one.aclose()
            self.assertEqual(await soon(anext(both)), {"close": 3})

    async def test_offsets_are_checked_and_what_was_missed_is_recovered(self) -> None:
        async def first(peer: Peer) -> None:
            request = await peer.subscribed(epoch="e1", offset=40, recovered=False)
            self.assertNotIn("recover", request)
            await peer.update(41, offset=41, snapshot=True)
            await peer.update(42, offset=42)
            await peer.update(45, offset=45, skipped=2)
            await peer.socket.close(1012)

        async def second(peer: Peer) -> None:
            request = await peer.subscribed(epoch="e1", offset=47, recovered=True)
            self.assertEqual(request["recover"], {"epoch": "e1", "offset": 45})
            await peer.update(46, offset=46)
            await peer.update(47, offset=47)
            await peer.socket.close(1012)

        async def third(peer: Peer) -> None:
            request = await peer.subscribed(epoch="e2", offset=3, recovered=False)
            self.assertEqual(request["recover"], {"epoch": "e1", "offset": 47})
            await peer.update(3, offset=3, snapshot=True)
            await peer.update(4, offset=4)

        async with script(first, second, third) as url, connect(url, reconnect=AT_ONCE) as api:
            stream = api.bars.stream(BARS)
            frames = stream.frames()
            seen = [await soon(anext(frames)) for _ in range(5)]
            self.assertEqual([frame.offset for frame in seen], [41, 42, 45, 46, 47])
            self.assertEqual([frame.skipped for frame in seen], [0, 0, 2, 0, 0])
            self.assertTrue(stream.recovered)
            seen = [await soon(anext(frames)) for _ in range(2)]
            self.assertEqual([(frame.offset, frame.snapshot) for frame in seen], [(3, True), (4, False)])
            self.assertFalse(stream.recovered)

    async def test_a_gap_is_noticed_and_mended(self) -> None:
        async def scene(peer: Peer) -> None:
            await peer.subscribed(epoch="e1", offset=1)
            await peer.update(1, offset=1, snapshot=True)
            await peer.update(2, offset=2)
            await peer.update(4, offset=4)
            await peer.update(5, offset=5)
            await peer.unsubscribed()
            request = await peer.subscribed(epoch="e1", offset=5, recovered=True)
            self.assertEqual(request["recover"], {"epoch": "e1", "offset": 2})
            for offset in [3, 4, 5, 6]:
                await peer.update(offset, offset=offset)

        async with script(scene) as url, connect(url) as api:
            frames = api.bars.stream(BARS).frames()
            self.assertEqual([(await soon(anext(frames))).offset for _ in range(6)], [1, 2, 3, 4, 5, 6])

    async def test_the_server_ends_subscriptions(self) -> None:
        async def ended(peer: Peer) -> None:
            await peer.subscribed()
            await peer.update(1)
            await peer.send("unsubscribed", {"code": "topic_ended", "resubscribe": False}, topic=TOPIC)

        async def failed(peer: Peer) -> None:
            await peer.subscribed()
            await peer.send("error", {"code": "topic_failed", "message": "gone"}, topic=TOPIC)
            await peer.send("unsubscribed", {"code": "topic_failed", "resubscribe": False}, topic=TOPIC)

        async with script(ended) as url, connect(url) as api:
            stream = api.bars.stream(BARS)
            self.assertEqual(await soon(anext(stream)), {"close": 1})
            with self.assertRaises(SubscriptionEnded) as end:
                await soon(anext(stream))
            self.assertEqual((end.exception.topic, end.exception.code), (TOPIC, "topic_ended"))
            with self.assertRaises(StopAsyncIteration):
                await soon(anext(stream))
        async with script(failed) as url, connect(url) as api:
            with self.assertRaisesRegex(ApiError, "topic_failed: gone"):
                await soon(anext(api.bars.stream(BARS)))

    async def test_the_server_may_ask_to_subscribe_again_or_begin_anew_by_itself(self) -> None:
        async def scene(peer: Peer) -> None:
            await peer.subscribed(epoch="e1", offset=7)
            await peer.update(7, offset=7, snapshot=True)
            await peer.send("unsubscribed", {"code": "moved", "resubscribe": True}, topic=TOPIC)
            request = await peer.subscribed(epoch="e2", offset=1)
            self.assertNotIn("recover", request)
            await peer.update(1, offset=1, snapshot=True)
            error = {"code": "topic_failed", "message": "soon", "retry_after_ms": 10}
            await peer.send("error", error, topic=TOPIC)
            await peer.update(0, offset=9, snapshot=True)
            await peer.update(10, offset=10)

        async with script(scene) as url, connect(url) as api:
            frames = api.bars.stream(BARS).frames()
            self.assertEqual([(await soon(anext(frames))).offset for _ in range(4)], [7, 1, 9, 10])

    async def test_a_refusal_to_subscribe_again_is_passing_or_final(self) -> None:
        async def first(peer: Peer) -> None:
            await peer.subscribed()
            await peer.update(1)
            await peer.socket.close(1012)

        async def second(peer: Peer) -> None:
            await peer.refuse(await peer.expect("bars.subscribe"), "unavailable", retry_after_ms=1)
            await peer.subscribed()
            await peer.update(2)
            await peer.socket.close(1012)

        async def third(peer: Peer) -> None:
            await peer.refuse(await peer.expect("bars.subscribe"), "forbidden")
            await echo(peer)

        async with script(first, second, third) as url, connect(url, reconnect=AT_ONCE) as api:
            stream = api.bars.stream(BARS)
            self.assertEqual([(await soon(anext(stream)))["close"] for _ in range(2)], [1, 2])
            with self.assertRaisesRegex(ApiError, "forbidden"):
                await soon(anext(stream))
            await soon(api.ping())

    async def test_a_connection_that_breaks_while_subscribing_is_no_matter(self) -> None:
        async def breaks(peer: Peer) -> None:
            await peer.expect("bars.subscribe")
            await peer.socket.close(1012)

        async def works(peer: Peer) -> None:
            await peer.subscribed()
            await peer.update(1)

        async with script(breaks, breaks, works) as url, connect(url, reconnect=AT_ONCE) as api:
            self.assertEqual(await soon(anext(api.bars.stream(BARS))), {"close": 1})

    async def test_what_was_subscribed_by_hand_comes_back_until_it_is_unsubscribed(self) -> None:
        async def first(peer: Peer) -> None:
            await peer.subscribed()
            await peer.subscribed("quotes:A")
            await peer.unsubscribed()
            await peer.expect("ping")
            await peer.socket.close(1012)

        async def second(peer: Peer) -> None:
            await peer.subscribed("quotes:A")
            await peer.update(1, "quotes:A")
            await echo(peer)

        seen = asyncio.Queue[str]()
        async with script(first, second) as url, connect(url, reconnect=AT_ONCE) as api:
            api.on("quotes.update", lambda frame: seen.put_nowait(frame["topic"]))
            await soon(api.bars.subscribe(BARS))
            await soon(api.quotes.subscribe({"symbol": "A"}))
            await soon(api.bars.unsubscribe(BARS))
            with self.assertRaises(ConnectionLost):
                await soon(api.ping())
            self.assertEqual(await soon(seen.get()), "quotes:A")

    async def test_a_stream_that_is_not_read_keeps_the_newest_and_counts_the_rest(self) -> None:
        async def scene(peer: Peer) -> None:
            await peer.subscribed()
            for close in range(100):
                await peer.update(close, offset=close + 1)
            await echo(peer)

        async with script(scene) as url, connect(url) as api:
            frames = api.bars.stream(BARS, buffer=3).frames()
            with self.assertLogs("fastws.client", logging.WARNING):
                seen = [await soon(anext(frames))]
                await soon(api.ping())
            seen += [await soon(anext(frames)) for _ in range(3)]
            self.assertEqual([frame.offset for frame in seen[1:]], [98, 99, 100])
            last = 0
            for frame in seen:
                self.assertEqual(frame.offset, last + 1 + frame.skipped, "the law of offsets holds")
                last += 1 + frame.skipped

    async def test_a_stream_that_times_out_can_be_asked_again(self) -> None:
        go = asyncio.Event()

        async def scene(peer: Peer) -> None:
            await peer.subscribed()
            await go.wait()
            await peer.update(1)

        async with script(scene) as url, connect(url) as api:
            stream = api.bars.stream(BARS)
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(anext(stream), 0.05)
            go.set()
            self.assertEqual(await soon(anext(stream)), {"close": 1})

    async def test_a_subscribe_that_is_not_answered_times_out(self) -> None:
        async with script(idle) as url, connect(url) as api:
            await soon(api.opened())
            with self.assertRaisesRegex(TimeoutError, "`bars.subscribe` got no answer"):
                await soon(anext(api.bars.stream(BARS, timeout=0.05)))

    # The end.

    async def test_leaving_ends_everything(self) -> None:
        before = asyncio.all_tasks()
        subscribed = asyncio.Event()

        async def scene(peer: Peer) -> None:
            await peer.subscribed()
            await peer.update(1)
            subscribed.set()
            await idle(peer)

        async with script(scene) as url:
            around = asyncio.all_tasks()
            async with connect(url) as api:
                stream = api.bars.stream(BARS)
                await soon(anext(stream))
                reading = asyncio.create_task(_rest(stream))
                pending = asyncio.create_task(api.ping())
                await soon(subscribed.wait())
            self.assertEqual(await soon(reading), [])
            with self.assertRaises(ConnectionLost):
                await soon(pending)
            with self.assertRaises(ConnectionLost):
                await api.ping()
            with self.assertRaises(ConnectionLost):
                await anext(api.bars.stream(BARS))
            with self.assertRaises(ClientError):
                async with api:
                    pass
            await soon(asyncio.gather(api.close(), api.close()))
            self.assertEqual({task for task in asyncio.all_tasks() - around if "client" in repr(task)}, set())
        self.assertEqual(asyncio.all_tasks(), before)

    async def test_leaving_while_it_connects_or_waits_is_at_once(self) -> None:
        async with script(echo) as url:
            pass
        for reconnect in [NEVER, AT_ONCE]:
            async with connect(url, reconnect=reconnect) as api:
                waiting = asyncio.create_task(api.ping(timeout=PATIENCE))
                stream = asyncio.create_task(_rest(api.bars.stream(BARS)))
                await asyncio.sleep(0)
            with self.assertRaises(ConnectionLost):
                await soon(waiting)
            self.assertEqual(await soon(stream), [])
        async with Silence(answers=False) as url, connect(url):
            pass

    async def test_an_exception_within_passes_through(self) -> None:
        async with script(echo) as url:
            with self.assertRaises(KeyError):
                async with connect(url) as api:
                    await soon(api.ping())
                    raise KeyError


class Silence:
    """A server that accepts, and then reads nothing and says nothing: as behind a cable that was pulled."""

    def __init__(self, *, answers: bool = True) -> None:
        self._answers = answers
        self._over = asyncio.Event()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        self._server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._answers:
            head = await reader.readuntil(b"\r\n\r\n")
            key = next(line[19:] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key: "))
            accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
        await self._over.wait()
        writer.close()


async def _snapshot(frames: AsyncIterator[client.Update[T]]) -> None:
    while not (await soon(anext(frames))).snapshot:
        pass


async def _rest(stream: client.Stream[T]) -> list[T]:
    return [payload async for payload in stream]


async def _has_topics(api: client.Api, topics: set[str]) -> bool:
    return set((await api.list_subscriptions())["topics"]) == topics


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await holds():
            pass
