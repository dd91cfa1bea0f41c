"""What every generated client runs on: one connection that renews itself, its requests and its subscriptions."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import random
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from ssl import SSLContext
from typing import Any, Generic, Literal, NamedTuple, NoReturn, TypeAlias, TypeVar, cast
from urllib.parse import quote, unquote, urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as dial
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

# --- runtime ---

State: TypeAlias = Literal["connecting", "open", "waiting", "closed"]
"""Where a connection is: `waiting` is the pause before the next attempt."""

Token: TypeAlias = str | Callable[[], str | Awaitable[str]]
"""A token, or a function that is asked for one at each connect."""

P = TypeVar("P")
P_co = TypeVar("P_co", covariant=True)


class Close(NamedTuple):
    """How a connection ended: a WebSocket close code (1006 without a close frame), or an HTTP status."""

    code: int
    reason: str

    def __str__(self) -> str:
        return f"{self.code} {self.reason}".rstrip()


class ClientError(Exception):
    """What all errors of this module are, besides `TimeoutError` of a request that got no answer."""


class ApiError(ClientError):
    """The server refused a request. `code` is stable and for programs, `message` is for people."""

    def __init__(
        self,
        code: str,
        message: str,
        operation: str | None = None,
        details: list[dict[str, str]] | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.operation = operation
        self.details = details or []
        """What is wrong, field by field: `path` is a JSON Pointer into the payload, `message` a sentence."""
        self.retry_after_ms = retry_after_ms


class ConnectionLost(ClientError):
    """The connection ended before the answer came. Nobody knows whether the server did what was asked."""

    def __init__(self, close: Close) -> None:
        super().__init__(f"the connection ended: {close}")
        self.code, self.reason = close


class ConnectionRefused(ConnectionLost):
    """The server does not want this client to come again, such as with a wrong token. It has stopped for good."""


class SubscriptionEnded(ClientError):
    """The server ended a subscription, and there is no sense in subscribing again."""

    def __init__(self, topic: str, code: str) -> None:
        super().__init__(f"the subscription to `{topic}` ended: {code}")
        self.topic = topic
        self.code = code


@dataclass(frozen=True, slots=True)
class Reconnect:
    """How to come back: after a random pause of at most `first * factor ** failures` seconds, `longest` at most."""

    first: float = 0.5
    factor: float = 2.0
    longest: float = 30.0
    attempts: int | None = None
    """After how many failures in a row to give up; never by default."""
    stable_after: float = 10.0
    """A connection that has lived for so many seconds sets the count of failures back to zero."""
    random: Callable[[], float] = random.random
    """A number from 0 to 1; tests bring their own."""

    def delay(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row."""
        longest = min(self.longest, self.first * self.factor ** min(failures, 64))
        return self.random() * longest


@dataclass(frozen=True, slots=True)
class Update(Generic[P_co]):
    """One update of a topic, with what stands around its payload."""

    type: str
    topic: str
    payload: P_co
    snapshot: bool = False
    """Whether this is the state that a subscription begins with; it replaces all that came before."""
    offset: int | None = None
    """The update's number, on topics that keep count."""
    skipped: int = 0
    """How many updates were left out before this one, by the server or because this stream was not read."""


class Stream(Generic[P]):
    """The updates of one subscription, as `async for payload in stream`.

    It begins with a snapshot where the topic has one, and begins anew with a fresh one after a reconnect, unless the
    server could send all that was missed (`recovered`). Streams of one request share one subscription; the last to end
    unsubscribes. A stream ends with `aclose()`, or when nobody refers to it any more, as after leaving the loop. Its
    buffer keeps the newest updates; what it drops is counted in the next update's `skipped`.
    """

    def __init__(
        self, connection: Connection, operation: str, payload: Any, buffer: int, timeout: float | None
    ) -> None:
        self._connection = connection
        self._wanted = (operation, payload, timeout)
        self._feed = _Feed(buffer)
        self._has_begun = False

    def __aiter__(self) -> Stream[P]:
        return self

    async def __anext__(self) -> P:
        feed = self._begun()
        try:
            return cast(P, (await feed.next()).payload)
        except BaseException:
            del self  # Whoever keeps a cancelled task keeps its traceback, and with it what this frame refers to.
            raise

    def frames(self) -> AsyncIterator[Update[P]]:
        """The same updates with their topic, offset, and whether they are snapshots."""
        return _Frames(self._begun)

    async def aclose(self) -> None:
        """Ends the stream, and its subscription if no other stream shares it."""
        self._has_begun = True
        self._connection.release(self._feed)

    @property
    def topics(self) -> frozenset[str]:
        """The topics that the server's reply named; none before that."""
        subscription = self._feed.subscription
        return frozenset(subscription.topics) if subscription else frozenset()

    @property
    def recovered(self) -> bool:
        """Whether the server sent all that was missed when the subscription was last made anew."""
        return self._feed.subscription is not None and self._feed.subscription.recovered

    def _begun(self) -> _Feed:
        if not self._has_begun:
            self._has_begun = True
            self._connection.join(self._feed, *self._wanted)
        return self._feed

    def __del__(self) -> None:
        self._connection.release_soon(self._feed)


class _Frames(Generic[P]):
    def __init__(self, begin: Callable[[], _Feed]) -> None:
        self._begin = begin

    def __aiter__(self) -> _Frames[P]:
        return self

    async def __anext__(self) -> Update[P]:
        feed = self._begin()
        try:
            return await feed.next()
        except BaseException:
            del self  # As in a stream.
            raise


@dataclass(frozen=True, slots=True)
class Subscribes:
    """What follows from a subscribe request."""

    updates: tuple[str, ...]
    """The messages that bring the updates."""
    unsubscribe: str | None = None
    """The request that ends the subscription."""
    by_topic: tuple[str, Mapping[str, Callable[[str], Any]]] | None = None
    """Where that request takes another payload than this one: the topic's template and fields, which make one up."""


class Connection:
    """One connection that renews itself, with its requests and subscriptions. All of it runs on one event loop."""

    def __init__(
        self,
        url: str,
        *,
        token: Token | None,
        token_query: str | None,
        headers: Mapping[str, str] | None,
        ssl: SSLContext | None,
        timeout: float,
        reconnect: Reconnect,
        heartbeat: float,
        max_size: int | None,
        subscribes: Mapping[str, Subscribes],
        unsubscribes: Mapping[str, str],
    ) -> None:
        address = urlsplit(url)
        if address.scheme not in ("ws", "wss") or not address.hostname:
            raise ValueError("the address of a WebSocket begins with ws:// or wss:// and a host")
        self._url = url
        self._token = token
        self._token_query = token_query
        self._headers = dict(headers or {})
        self._timeout = timeout
        self._reconnect = reconnect
        self._subscribes = subscribes
        self._unsubscribes = unsubscribes
        self._dialing: dict[str, Any] = {
            "ping_interval": heartbeat / 2,
            "ping_timeout": heartbeat / 2,
            "close_timeout": _CLOSE_TIMEOUT,
            "max_size": max_size,
            "logger": _socket_log,
            **({"ssl": ssl} if ssl else {}),
        }
        self.state: State = "closed"
        self.last_close: Close | None = None
        self._error: ClientError | None = ClientError("there is no connection yet: use `async with connect() as api`")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runner: asyncio.Task[None] | None = None
        self._is_closing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._settled = asyncio.Event()
        self._outbox: asyncio.Queue[tuple[str, asyncio.Future[Any] | None]] = asyncio.Queue()
        self._last_id = 0
        self._pending: dict[str, _Pending] = {}
        self._subscriptions: dict[tuple[str, str], _Subscription] = {}
        self._topics: dict[str, _Topic] = {}
        self._callbacks: dict[str, list[Callable[[Any], object]]] = {}
        self._state_callbacks: list[Callable[[State], object]] = []
        self._unsent: set[asyncio.Future[Any]] = set()
        self._pause: float | None = None

    # What the API calls.

    def start(self) -> None:
        """Begins to connect, and stays connected until `close`."""
        if self._runner is not None:
            raise ClientError("a connection begins once; make another with `connect()`")
        self._error = None
        self._loop = asyncio.get_running_loop()
        self._change("connecting")
        self._runner = self._loop.create_task(self._run())

    async def close(self) -> None:
        """Ends everything: requests fail, streams end, no task is left."""
        if self._runner is not None:
            if not self._is_closing:
                self._is_closing = True
                self._runner.cancel()
            await asyncio.wait([self._runner])

    async def opened(self) -> None:
        """Waits until the connection is open."""
        while self.state != "open":
            if self.state == "closed":
                self._raise_closed()
            await self._settled.wait()

    async def request(self, operation: str, payload: Any = None, timeout: float | None = None) -> Any:
        """Sends a request, and returns its reply's payload."""
        request = self._request(operation, payload)
        async with self._deadline(operation, timeout):
            await self.opened()
            return await self._reply(request)

    async def notify(self, operation: str, payload: Any = None, timeout: float | None = None) -> None:
        """Sends a request that gets no reply, and waits until it is sent."""
        request = self._request(operation, payload)
        async with self._deadline(operation, timeout):
            await self.opened()
            sent: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            self._outbox.put_nowait((request.text, sent))
            self._unsent.add(sent)
            try:
                await sent
            finally:
                self._unsent.discard(sent)

    def on(self, kind: str, callback: Callable[[Any], object]) -> Callable[[], None]:
        """Calls back with each message of a type that answers no request. Returns a function that ends this."""
        return _listen(self._callbacks.setdefault(kind, []), callback)

    def on_state(self, callback: Callable[[State], object]) -> Callable[[], None]:
        """Calls back with each new state. Returns a function that ends this."""
        return _listen(self._state_callbacks, callback)

    # The connection.

    async def _run(self) -> None:
        failures = 0
        error: ClientError | None = None
        try:
            while True:
                self._pause = None
                try:
                    socket = await self._dial()
                except (OSError, EOFError, WebSocketException, ClientError) as failure:
                    self.last_close, is_final = self._why_not(failure)
                else:
                    opened_at = self._now()
                    self.last_close = await self._serve(socket)
                    is_final = not _may_return(self.last_close.code)
                    if self._now() - opened_at >= self._reconnect.stable_after:
                        failures = 0
                if is_final:
                    error = None if self.last_close.code == 1000 else ConnectionRefused(self.last_close)
                    return
                if failures == self._reconnect.attempts:
                    error = ConnectionLost(self.last_close)
                    return
                pause = self._reconnect.delay(failures) if self._pause is None else self._pause
                failures += 1
                _log.info("connection ended (%s); the next attempt is in %.2f s", self.last_close, pause)
                self._change("waiting")
                await asyncio.sleep(pause)
                self._change("connecting")
        except Exception as fault:
            error = ClientError(f"the connection stopped for a fault of its own: {fault!r}")
            raise
        finally:
            await self._finish(error)

    async def _dial(self) -> ClientConnection:
        """Opens a socket, with the token of this moment."""
        async with asyncio.timeout(_OPEN_TIMEOUT):
            url, headers = self._url, dict(self._headers)
            token = await self._ask_for_token()
            if token is not None and self._token_query is not None:
                url += f"{'&' if '?' in url else '?'}{quote(self._token_query)}={quote(token, safe='')}"
            elif token is not None:
                headers["Authorization"] = f"Bearer {token}"
            return await dial(url, additional_headers=headers, open_timeout=None, **self._dialing)

    async def _ask_for_token(self) -> str | None:
        if self._token is None or isinstance(self._token, str):
            return self._token
        try:
            token = self._token()
            return await token if inspect.isawaitable(token) else token
        except Exception as error:
            raise ClientError(f"the function that gives the token raised {type(error).__name__}") from error

    def _why_not(self, failure: Exception) -> tuple[Close, bool]:
        """What kept a socket from opening, and whether it will for good."""
        if not isinstance(failure, InvalidStatus):
            return Close(1006, str(failure) or type(failure).__name__), False
        response = failure.response
        close = Close(response.status_code, response.reason_phrase)
        wait = response.headers.get("Retry-After", "")
        if wait.isdecimal():
            self._pause = float(wait)
        return close, 400 <= close.code < 500 and close.code not in (408, 425, 429)

    async def _serve(self, socket: ClientConnection) -> Close:
        """Sends and receives until the connection ends."""
        self._outbox = asyncio.Queue()
        writer = asyncio.create_task(self._write(socket))
        close = Close(1000, "closed by this client")
        try:
            self._change("open")
            for subscription in self._subscriptions.values():
                self._renew(subscription)
            while True:
                self._take(await socket.recv(decode=True))
        except ConnectionClosed as closed:
            end = closed.rcvd or closed.sent
            close = Close(end.code, end.reason) if end else Close(1006, "no close frame")
            return close
        finally:
            self._lose(close)
            writer.cancel()
            await socket.close()
            await asyncio.wait([writer])

    async def _write(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                text, sent = await self._outbox.get()
                await socket.send(text)
                if sent is not None and not sent.done():
                    sent.set_result(None)

    def _lose(self, close: Close) -> None:
        """Fails whatever waits for an answer; nothing is sent again."""
        self._settled.clear()
        self.state = "waiting"
        waiting = [*(pending.reply for pending in self._pending.values()), *self._unsent]
        self._pending.clear()
        for reply in waiting:
            if not reply.done():
                reply.set_exception(ConnectionLost(close))
        for topic in self._topics.values():
            topic.has_snapshot = False

    async def _finish(self, error: ClientError | None) -> None:
        self._error = error
        self._change("closed")
        for subscription in tuple(self._subscriptions.values()):
            self._drop(subscription, error)
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _change(self, state: State) -> None:
        self.state = state
        if state in ("open", "closed"):
            self._settled.set()
        else:
            self._settled.clear()
        for callback in tuple(self._state_callbacks):
            _call(callback, state)

    def _raise_closed(self) -> NoReturn:
        raise self._error or ConnectionLost(self.last_close or Close(1000, "closed by this client"))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    # Requests.

    def _request(self, operation: str, payload: Any, recover: dict[str, Any] | None = None) -> _Request:
        self._last_id += 1
        frame: dict[str, Any] = {"type": operation, "id": str(self._last_id)}
        if recover is not None:
            frame["recover"] = recover
        if payload is not None:
            frame["payload"] = payload
        return _Request(operation, payload, frame["id"], _json(frame))

    @asynccontextmanager
    async def _deadline(self, operation: str, timeout: float | None) -> AsyncIterator[None]:
        seconds = self._timeout if timeout is None else timeout
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            why = "got no answer" if self.state == "open" else f"found no connection ({self.last_close or self.state})"
            raise TimeoutError(f"`{operation}` {why} within {seconds:g} s") from None

    def _post(self, request: _Request, subscription: _Subscription | None = None) -> asyncio.Future[Any]:
        """Puts a request into the outbox, at once: requests go out in the order of these calls."""
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[request.id] = _Pending(request, reply, subscription)
        self._outbox.put_nowait((request.text, None))
        return reply

    async def _reply(self, request: _Request, subscription: _Subscription | None = None) -> Any:
        try:
            return await self._post(request, subscription)
        finally:
            self._pending.pop(request.id, None)

    # What the server sends.

    def _take(self, text: str) -> None:
        try:
            frame = json.loads(text)
            self._dispatch(frame["type"], frame)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            _log.warning("a message is passed over, as it is none of this protocol: %r", error)

    def _dispatch(self, kind: str, frame: dict[str, Any]) -> None:
        if (id := frame.get("id")) is not None:
            pending = self._pending.pop(str(id), None)
            if pending is not None:
                self._answer(pending, kind, frame)
                return
        topic = self._topics.get(frame.get("topic", ""))
        payload: Any = frame.get("payload")
        match kind:
            case "draining":
                self._pause = payload["retry_after_ms"] / 1000
            case "unsubscribed" if topic is not None:
                self._unsubscribed(topic, payload["code"], payload["resubscribe"])
            case "error":
                self._failed(topic, _api_error(payload))
            case _ if topic is not None:
                self._update(topic, frame)
        for callback in tuple(self._callbacks.get(kind, ())):
            _call(callback, frame)

    def _answer(self, pending: _Pending, kind: str, frame: dict[str, Any]) -> None:
        request, reply = pending.request, pending.reply
        if reply.done():
            return
        if kind == "error":
            reply.set_exception(_api_error(frame.get("payload")))
            return
        if request.operation in self._subscribes:
            subscription = pending.subscription or self._subscription(request.operation, request.payload)
            if pending.subscription is None:
                subscription.is_held = True
                subscription.ended.clear()
            self._subscribed(subscription, frame)
        elif request.operation in self._unsubscribes and not pending.is_own:
            self._left(request, frame)
        reply.set_result(frame.get("payload"))

    def _update(self, topic: _Topic, frame: dict[str, Any]) -> None:
        offset, skipped = frame.get("offset"), frame.get("skipped", 0)
        if frame.get("snapshot"):
            topic.has_snapshot = True
        elif offset is not None and topic.offset is not None and offset != topic.offset + 1 + skipped:
            _log.info("a gap in `%s`: %s follows %s", topic.name, offset, topic.offset)
            if self._mend(topic):
                return
        topic.offset = offset
        update = Update(frame["type"], topic.name, frame.get("payload"), bool(frame.get("snapshot")), offset, skipped)
        for subscription in tuple(topic.subscriptions):
            if update.type in subscription.means.updates:
                subscription.offer(update)

    def _mend(self, topic: _Topic) -> bool:
        """Subscribes again from the last update that was in order; until then the topic is silent."""
        mendable = [each for each in topic.subscriptions if each.means.unsubscribe]
        for subscription in mendable[:1]:
            self._renew(subscription, leave=True)
        return bool(mendable)

    def _failed(self, topic: _Topic | None, error: ApiError) -> None:
        if topic is None:
            _log.warning("the server tells of an error: %s", error)
        elif error.retry_after_ms is not None:
            _log.info("`%s` fails and will begin anew: %s", topic.name, error)
            topic.forget()
        else:
            self._end_topic(topic, error)

    def _unsubscribed(self, topic: _Topic, code: str, may_resubscribe: bool) -> None:
        if not may_resubscribe:
            self._end_topic(topic, SubscriptionEnded(topic.name, code))
            return
        topic.forget()
        for subscription in tuple(topic.subscriptions):
            self._renew(subscription)

    def _end_topic(self, topic: _Topic, error: ClientError | None) -> None:
        """Takes a topic out of its subscriptions; an error ends their streams."""
        for subscription in tuple(topic.subscriptions):
            subscription.ended.add(topic.name)
            self._detach(subscription, topic)
            if error is not None:
                subscription.end_streams(error)
            if not subscription.topics:
                self._drop(subscription, error)
            elif not subscription.feeds and not subscription.is_held:
                self._abandon(subscription)

    # Subscriptions.

    def join(self, feed: _Feed, operation: str, payload: Any, timeout: float | None) -> None:
        """Begins a stream: with a subscription of its own, or in one that is there."""
        if self.state == "closed":
            self._raise_closed()
        subscription = self._subscription(operation, payload)
        subscription.feeds.add(feed)
        feed.subscription = subscription
        if not subscription.is_live:
            subscription.timeout = timeout
            self._renew(subscription)
        elif self.state == "open":
            self._admit(subscription)

    def release(self, feed: _Feed) -> None:
        """Ends a stream, and with the last of a subscription the subscription."""
        feed.end(None)
        subscription, feed.subscription = feed.subscription, None
        if subscription is None or self._subscriptions.get(subscription.key) is not subscription:
            return
        subscription.feeds.discard(feed)
        if not subscription.feeds and not subscription.is_held:
            self._abandon(subscription)

    def release_soon(self, feed: _Feed) -> None:
        """The same from wherever an object is collected."""
        if self._loop is not None and not feed.has_ended:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.release, feed)

    def _abandon(self, subscription: _Subscription) -> None:
        """Unsubscribes; a topic that others want too is asked for again by them."""
        topics = tuple(subscription.topics.values())
        self._drop(subscription, None)
        self._leave(subscription, tuple(topic.name for topic in topics))
        for other in {other: None for topic in topics for other in topic.subscriptions}:
            self._renew(other, leave=True)

    def _subscription(self, operation: str, payload: Any) -> _Subscription:
        key = operation, json.dumps(payload, sort_keys=True, allow_nan=False)
        if key not in self._subscriptions:
            self._subscriptions[key] = _Subscription(key, self._subscribes[operation], operation, payload)
        return self._subscriptions[key]

    def _renew(self, subscription: _Subscription, *, leave: bool = False) -> None:
        """Sees to it that a subscription is there; with `leave`, that it begins anew."""
        subscription.is_due = True
        subscription.must_leave |= leave
        if subscription.task is None:
            subscription.task = self._spawn(self._subscribe(subscription))

    async def _subscribe(self, subscription: _Subscription) -> None:
        failures, refused_at = 0, 0.0
        try:
            while True:
                try:
                    async with self._deadline(subscription.operation, subscription.timeout):
                        await self.opened()
                        subscription.is_due = False
                        if subscription.must_leave:
                            subscription.must_leave = False
                            self._leave(subscription, tuple(subscription.topics))
                        recover = subscription.position()
                        request = self._request(subscription.operation, subscription.payload, recover)
                        await self._reply(request, subscription)
                except (ApiError, TimeoutError) as error:
                    refused_at = refused_at or self._now()
                    if not subscription.is_live or not _may_pass(error, self._now() - refused_at):
                        self._drop(subscription, error)
                        return
                    pause = max(self._reconnect.delay(failures), _SHORTEST_PAUSE)
                    if isinstance(error, ApiError) and error.retry_after_ms is not None:
                        pause = error.retry_after_ms / 1000
                    failures += 1
                    _log.info("`%s` is to be made anew in %.2f s: %s", subscription.operation, pause, error)
                    await asyncio.sleep(pause)
                except ClientError:
                    if self.state == "closed":
                        return  # Otherwise the connection was lost, and the next one is waited for.
                else:
                    if not subscription.is_due:
                        return
        finally:
            subscription.task = None

    def _subscribed(self, subscription: _Subscription, frame: dict[str, Any]) -> None:
        """Takes note of a subscribe reply, before the frames that follow it."""
        subscription.is_live = True
        subscription.recovered = bool(frame.get("recovered"))
        stated = _topics_of(frame.get("payload")) - subscription.ended
        for topic in tuple(subscription.topics.values()):
            if topic.name not in stated:
                self._detach(subscription, topic)
        for name in sorted(stated):
            topic = self._topics.setdefault(name, _Topic(name))
            topic.subscriptions[subscription] = None
            subscription.topics[name] = topic
            if not subscription.recovered:
                topic.offset = frame.get("offset") if len(stated) == 1 else None
            topic.epoch = frame.get("epoch")
        self._admit(subscription)

    def _admit(self, subscription: _Subscription) -> None:
        """Lets waiting streams begin; where the snapshot has passed already, with a fresh one."""
        has_passed = any(topic.has_snapshot for topic in subscription.topics.values())
        if has_passed and subscription.has_waiting() and subscription.means.unsubscribe:
            self._renew(subscription, leave=True)
        else:
            subscription.admit()

    def _left(self, request: _Request, frame: dict[str, Any]) -> None:
        """Takes note of an unsubscribe that the program itself sent."""
        if self._unsubscribes[request.operation] == "*":
            for subscription in tuple(self._subscriptions.values()):
                self._drop(subscription, None)
            return
        names = _topics_of(frame.get("payload"))
        if not names:
            same = _json(request.payload)
            ended = [each for each in self._subscriptions.values() if each.means.unsubscribe == request.operation]
            names = {name for each in ended if _json(each.payload) == same for name in each.topics}
        for name in names & self._topics.keys():
            self._end_topic(self._topics[name], None)

    def _leave(self, subscription: _Subscription, topics: tuple[str, ...]) -> None:
        """Unsubscribes without waiting for the answer."""
        means = subscription.means
        if means.unsubscribe is None or self.state != "open":
            return
        payloads = [subscription.payload]
        if means.by_topic is not None:
            payloads = [_fields(topic, *means.by_topic) for topic in topics]
        for name in topics:
            if name in self._topics:
                self._topics[name].has_snapshot = False
        for payload in payloads:
            request = self._request(means.unsubscribe, payload)
            reply = self._post(request)
            self._pending[request.id].is_own = True
            reply.add_done_callback(_log_failure)

    def _drop(self, subscription: _Subscription, error: Exception | None) -> None:
        """Forgets a subscription and ends its streams."""
        self._subscriptions.pop(subscription.key, None)
        for topic in tuple(subscription.topics.values()):
            self._detach(subscription, topic)
        subscription.end_streams(error)
        if subscription.task is not None and subscription.task is not asyncio.current_task():
            subscription.task.cancel()

    def _detach(self, subscription: _Subscription, topic: _Topic) -> None:
        subscription.topics.pop(topic.name, None)
        topic.subscriptions.pop(subscription, None)
        if not topic.subscriptions:
            self._topics.pop(topic.name, None)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


@dataclass(frozen=True, slots=True)
class _Request:
    operation: str
    payload: Any
    id: str
    text: str


@dataclass(slots=True)
class _Pending:
    request: _Request
    reply: asyncio.Future[Any]
    subscription: _Subscription | None
    """Whose request it is, if it is not the program's own."""
    is_own: bool = False
    """Whether the connection itself sent it."""


@dataclass(slots=True, eq=False)
class _Topic:
    name: str
    subscriptions: dict[_Subscription, None] = field(default_factory=dict)
    epoch: str | None = None
    offset: int | None = None
    has_snapshot: bool = False
    """Whether this connection has brought one."""

    def forget(self) -> None:
        """The topic begins anew: what was known of its position holds no more."""
        self.epoch, self.offset, self.has_snapshot = None, None, False


@dataclass(slots=True, eq=False)
class _Subscription:
    key: tuple[str, str]
    means: Subscribes
    operation: str
    payload: Any
    timeout: float | None = None
    topics: dict[str, _Topic] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    """Topics that ended by themselves or were left one by one."""
    feeds: set[_Feed] = field(default_factory=set)
    is_held: bool = False
    """Whether the program subscribed by hand, and so has to unsubscribe by hand."""
    is_live: bool = False
    """Whether it has begun; from then on it is made anew until it ends."""
    recovered: bool = False
    is_due: bool = False
    """Whether it has to be asked for."""
    must_leave: bool = False
    """Whether it has to be left before that."""
    task: asyncio.Task[None] | None = None

    def position(self) -> dict[str, Any] | None:
        """From where to recover; from nowhere while a stream waits for a snapshot."""
        if len(self.topics) != 1 or self.has_waiting():
            return None
        topic = next(iter(self.topics.values()))
        if topic.epoch is None or topic.offset is None:
            return None
        return {"epoch": topic.epoch, "offset": topic.offset}

    def has_waiting(self) -> bool:
        return any(feed.is_waiting for feed in self.feeds)

    def admit(self) -> None:
        for feed in self.feeds:
            feed.is_waiting = False

    def end_streams(self, error: Exception | None) -> None:
        feeds = tuple(self.feeds)
        self.feeds.clear()
        for feed in feeds:
            feed.end(error)

    def offer(self, update: Update[Any]) -> None:
        for feed in tuple(self.feeds):
            feed.offer(update)


class _Feed:
    """What one stream has still to yield: at most `limit` updates, the newest."""

    def __init__(self, limit: int) -> None:
        self.subscription: _Subscription | None = None
        self.is_waiting = True
        self.has_ended = False
        self._limit = max(limit, 1)
        self._updates: deque[Update[Any]] = deque()
        self._dropped: dict[str, int] = {}
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    def offer(self, update: Update[Any]) -> None:
        if self.is_waiting or self.has_ended:
            return
        if len(self._updates) == self._limit:
            oldest = self._updates.popleft()
            if not self._dropped:
                _log.warning("a stream of `%s` is not read fast enough; it skips updates", oldest.topic)
            self._dropped[oldest.topic] = self._dropped.get(oldest.topic, 0) + 1 + oldest.skipped
        self._updates.append(update)
        self._changed.set()

    def end(self, error: Exception | None) -> None:
        if not self.has_ended:
            self.has_ended, self._error = True, error
            self._changed.set()

    async def next(self) -> Update[Any]:
        while not self._updates:
            if self.has_ended:
                error, self._error = self._error, None
                raise error or StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        update = self._updates.popleft()
        dropped = self._dropped.pop(update.topic, 0)
        return replace(update, skipped=update.skipped + dropped) if dropped else update


def _may_return(code: int) -> bool:
    """Whether a close code lets a client reconnect."""
    return code not in (1000, 1002, 1003, 1007, 1008, 1009, 1010) and not 4000 <= code <= 4099


def _may_pass(error: ApiError | TimeoutError, seconds: float) -> bool:
    """Whether a subscription that was there before, and has been refused for so long, may come back.

    A server that has just started may not know all of its topics yet, so even what it refuses is asked for a while.
    """
    if isinstance(error, TimeoutError) or error.retry_after_ms is not None or error.code in _PASSING:
        return True
    return error.code not in _FINAL and seconds < _GRACE


def _api_error(payload: Any) -> ApiError:
    told = payload if isinstance(payload, dict) else {}
    return ApiError(
        str(told.get("code", "internal_error")),
        str(told.get("message", "the server gave no reason")),
        told.get("operation"),
        told.get("details"),
        told.get("retry_after_ms"),
    )


def _topics_of(payload: Any) -> set[str]:
    """The topics that a reply states."""
    if not isinstance(payload, dict):
        return set()
    one, several = payload.get("topic"), payload.get("topics")
    topics = {one} if isinstance(one, str) else set()
    return topics | ({each for each in several if isinstance(each, str)} if isinstance(several, list) else set())


def _fields(topic: str, template: str, fields: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """The fields of a topic, such as symbol and resolution of `bars:AAPL:1`."""
    pattern = re.sub(r"\\\{.*?\\\}", "([^:]*)", re.escape(template))
    found = re.fullmatch(pattern, topic)
    values = found.groups() if found else ()
    return {name: read(unquote(value)) for (name, read), value in zip(fields.items(), values, strict=False)}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _listen(callbacks: list[Callable[[Any], object]], callback: Callable[[Any], object]) -> Callable[[], None]:
    callbacks.append(callback)

    def end() -> None:
        if callback in callbacks:
            callbacks.remove(callback)

    return end


def _call(callback: Callable[[Any], object], value: Any) -> None:
    try:
        callback(value)
    except Exception:  # noqa: BLE001
        _log.exception("a callback failed; the connection goes on")


def _log_failure(reply: asyncio.Future[Any]) -> None:
    if not reply.cancelled() and (error := reply.exception()) is not None:
        _log.debug("an unsubscribe failed: %s", error)


_OPEN_TIMEOUT = 10.0
"""Seconds for one attempt to connect, the token included."""
_CLOSE_TIMEOUT = 2.0
"""Seconds to wait for the server's close frame."""
_PASSING = frozenset(
    (
        "cancelled",
        "deadline_exceeded",
        "internal_error",
        "rate_limited",
        "too_many_in_flight",
        "topic_failed",
        "unavailable",
    )
)
"""Errors of the server's, after which a subscription is asked for again until it is there."""
_FINAL = frozenset(
    (
        "forbidden",
        "invalid_payload",
        "token_expired",
        "too_many_subscriptions",
        "unauthenticated",
        "unknown_operation",
    )
)
"""Errors of the client's, after which it is not."""
_GRACE = 15.0
"""For how many seconds it is asked for after any other error, such as an application's own."""
_SHORTEST_PAUSE = 0.05
"""Seconds between two times that a subscription is asked for."""

_log = logging.getLogger("fastws.client")
_socket_log = logging.getLogger("fastws.client.socket")
# At DEBUG it would write the handshake, and a token with it.
_socket_log.setLevel(logging.INFO)
