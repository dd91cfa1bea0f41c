"""A client of Orders 2.0.0.

    import asyncio
    from client import connect

    async def main() -> None:
        async with connect() as api:
            async for update in api.v1.balance.stream({"account": 7}):
                print(update)

    asyncio.run(main())

The connection comes back by itself, with its subscriptions. Requests that were waiting fail with `ConnectionLost`
and are never sent again in secret; one without an answer in time raises `TimeoutError`, one that is refused
`ApiError`. `ConnectionRefused` means that the server has told this client to stay away.

Members of `Api` that are no operations: `close`, `last_close`, `on`, `on_state`, `opened`, `state`, and each
`stream` beside its subscribe request. An operation of such a name, or of a word of Python's own, has an underscore
behind it.

Written by fastws from the API's AsyncAPI document; when the API changes, write it anew. It runs on Python 3.11 or
newer with the package `websockets`, 14 or newer.
"""

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
from typing import (
    Any,
    Generic,
    Literal,
    NamedTuple,
    NoReturn,
    NotRequired,
    Self,
    TypeAlias,
    TypedDict,
    TypeVar,
    cast,
    overload,
)
from urllib.parse import quote, unquote, urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as dial
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

# ----------------------------------------------------------------------------------------------------------------------
# Types, as the document names them.


class Account(TypedDict):
    """Names one account's balance."""

    account: int
    """The account."""


AnyErrorCode: TypeAlias = "ErrorCode | ApplicationErrorCode"
"""A stable word for programs."""


ApplicationErrorCode: TypeAlias = str
"""An error code of this application's own."""


class DrainingMessage(TypedDict):
    """Frame of `draining`."""

    type: Literal["draining"]
    """Names the operation."""
    payload: DrainingPayload


class DrainingPayload(TypedDict):
    """When the connection will be closed."""

    deadline_ms: int
    """Milliseconds until it is closed."""
    retry_after_ms: int
    """Milliseconds to wait before connecting again."""


ErrorCode: TypeAlias = Literal[
    "malformed_message",
    "unknown_operation",
    "invalid_payload",
    "duplicate_id",
    "too_many_in_flight",
    "deadline_exceeded",
    "cancelled",
    "unauthenticated",
    "forbidden",
    "token_expired",
    "rate_limited",
    "unavailable",
    "too_many_subscriptions",
    "unknown_topic",
    "topic_failed",
    "internal_error",
]
"""Why a request was refused, in one stable word.

- `malformed_message`: The message is not a JSON object with a string `type`.
- `unknown_operation`: No operation of that name can be sent.
- `invalid_payload`: The payload does not decode or breaks a constraint; `details` names each field.
- `duplicate_id`: A request with this id is still in flight.
- `too_many_in_flight`: Too many requests of this connection wait for their replies.
- `deadline_exceeded`: The operation took too long.
- `cancelled`: The request was cancelled before it was done.
- `unauthenticated`: The operation needs a login.
- `forbidden`: The login does not allow the operation.
- `token_expired`: The login has expired.
- `rate_limited`: Too many requests; `retry_after_ms` says when to go on.
- `unavailable`: Something that the operation needs is down; `retry_after_ms` says when to try again.
- `too_many_subscriptions`: The connection holds as many subscriptions as it may.
- `unknown_topic`: There is no such topic.
- `topic_failed`: The topic's source could not start or has failed; with `retry_after_ms` it starts again by itself.
- `internal_error`: The server failed; the connection lives on.
"""


class ErrorDetail(TypedDict):
    """One thing that is wrong in a payload."""

    path: str
    """A JSON Pointer into the payload."""
    message: str
    """What is wrong there."""


class ErrorMessage(TypedDict):
    """Frame of `error`."""

    type: Literal["error"]
    """Names the operation."""
    id: NotRequired[RequestId]
    topic: NotRequired[str]
    """The topic that failed, if the error is about one."""
    payload: ErrorPayload


class ErrorPayload(TypedDict):
    """Why a request was refused."""

    code: AnyErrorCode
    message: str
    """A sentence for a person."""
    operation: NotRequired[str]
    """The operation that was asked for."""
    details: NotRequired[list[ErrorDetail]]
    """What is wrong, field by field."""
    retry_after_ms: NotRequired[int]
    """When to try again, in milliseconds."""


FastwsPing: TypeAlias = dict[str, Any]
"""Whatever a client wants to have echoed."""


class FastwsPong(TypedDict):
    """What the ping carried, and the server's time."""

    server_time: int
    """Milliseconds since the Unix epoch."""


class Note(TypedDict):
    """A word for the log, and what was said before."""

    text: str
    before: Note | None


class NoteInput(TypedDict):
    """A word for the log, and what was said before."""

    text: str
    before: NotRequired[NoteInput | None]


class Order(TypedDict):
    """An order, as a client places it."""

    symbol: str
    """What to trade."""
    side: Side
    """Which way."""
    quantity: float
    """How much."""
    limit: float | None
    """The worst price to accept; the market's if there is none."""
    notes: list[Note]
    """Words for the log."""


class OrderInput(TypedDict):
    """An order, as a client places it."""

    symbol: str
    """What to trade."""
    side: Side
    """Which way."""
    quantity: float
    """How much."""
    limit: NotRequired[float | None]
    """The worst price to accept; the market's if there is none."""
    notes: NotRequired[list[NoteInput]]
    """Words for the log."""


class PingMessage(TypedDict):
    """Frame of `ping`."""

    type: Literal["ping"]
    """Names the operation."""
    id: NotRequired[RequestId]
    payload: NotRequired[FastwsPing | None]


class PongMessage(TypedDict):
    """Frame of `pong`."""

    type: Literal["pong"]
    """Names the operation."""
    id: NotRequired[RequestId]
    payload: FastwsPong


RequestId: TypeAlias = str | int
"""The client's own id of a request, at most 64 bytes or an exact integer; echoed in the one answer."""


Side: TypeAlias = Literal["buy", "sell"]
"""Which way an order goes.

- `sell`: Short sales are refused.
"""


class UnsubscribedMessage(TypedDict):
    """Frame of `unsubscribed`."""

    type: Literal["unsubscribed"]
    """Names the operation."""
    topic: str
    """The topic."""
    payload: UnsubscribedPayload


class UnsubscribedPayload(TypedDict):
    """Why a subscription has ended."""

    code: str
    """`topic_ended`, `topic_failed` or another reason."""
    resubscribe: bool
    """Whether it makes sense to subscribe again."""


class V1BalanceSubscribeMessage(TypedDict):
    """Frame of `v1.balance.subscribe`."""

    type: Literal["v1.balance.subscribe"]
    """Names the operation."""
    id: NotRequired[RequestId]
    payload: Account


class V1BalanceSubscribeResponseMessage(TypedDict):
    """Frame of `v1.balance.subscribe.response`."""

    type: Literal["v1.balance.subscribe.response"]
    """Names the operation."""
    id: NotRequired[RequestId]
    payload: V1BalanceSubscribeResponsePayload


class V1BalanceSubscribeResponsePayload(TypedDict):
    """Payload of `v1.balance.subscribe.response`."""

    status: Literal["ok"]
    """Always `ok`; a failure is an `error` frame."""
    message: str
    """What was done, for a person."""
    topic: str
    """The topic, as it stands on its updates."""
    account: int
    """The account."""


class V1BalanceUnsubscribeMessage(TypedDict):
    """Frame of `v1.balance.unsubscribe`."""

    type: Literal["v1.balance.unsubscribe"]
    """Names the operation."""
    id: NotRequired[RequestId]
    payload: Account


class V1BalanceUnsubscribeResponseMessage(TypedDict):
    """Frame of `v1.balance.unsubscribe.response`."""

    type: Literal["v1.balance.unsubscribe.response"]
    """Names the operation."""
    id: NotRequired[RequestId]
    payload: V1BalanceUnsubscribeResponsePayload


class V1BalanceUnsubscribeResponsePayload(TypedDict):
    """Payload of `v1.balance.unsubscribe.response`."""

    status: Literal["ok"]
    """Always `ok`; a failure is an `error` frame."""
    message: str
    """What was done, for a person."""
    topic: str
    """The topic, as it stands on its updates."""
    account: int
    """The account."""


class V1BalanceUpdateMessage(TypedDict):
    """Frame of `v1.balance.update`."""

    type: Literal["v1.balance.update"]
    """Names the operation."""
    topic: str
    """The topic that this belongs to, as the subscribe reply named it."""
    snapshot: NotRequired[Literal[True]]
    """Set on the state that a new subscriber begins with."""
    payload: float


class V1OrdersCancelAllMessage(TypedDict):
    """Frame of `v1.orders.cancel_all`.

    Deprecated.
    """

    type: Literal["v1.orders.cancel_all"]
    """Names the operation."""
    id: NotRequired[RequestId]


class V1OrdersFilledMessage(TypedDict):
    """Frame of `v1.orders.filled`."""

    type: Literal["v1.orders.filled"]
    """Names the operation."""
    topic: NotRequired[str]
    """The topic that this belongs to, as the subscribe reply named it."""
    payload: Order


class V1OrdersPlaceMessage(TypedDict):
    """Frame of `v1.orders.place`."""

    type: Literal["v1.orders.place"]
    """Names the operation."""
    id: NotRequired[RequestId]
    payload: OrderInput


class V1OrdersPlacedMessage(TypedDict):
    """Frame of `v1.orders.placed`."""

    type: Literal["v1.orders.placed"]
    """Names the operation."""
    id: NotRequired[RequestId]
    payload: Order


# ----------------------------------------------------------------------------------------------------------------------
# The API: a method for each operation; dots in names become namespaces.


def connect(
    url: str = "wss://api.example.com/v1/ws",
    *,
    token: Token | None = None,
    headers: Mapping[str, str] | None = None,
    ssl: SSLContext | None = None,
    timeout: float = 10.0,
    reconnect: Reconnect | None = None,
    heartbeat: float = 12.5,
    max_size: int | None = 16 * 1024 * 1024,
) -> Api:
    """Makes a client, to be used as `async with connect() as api`.

    Entering begins to connect and does not wait for it: requests do, each for at most its `timeout` in seconds. Leaving
    ends everything. `token` is a token or a function that is asked for one at each connect. A connection is given up
    as dead after `heartbeat` seconds without a sign of life. No message may be larger than `max_size` bytes.
    """
    return Api(
        Connection(
            url,
            token=token,
            token_query=None,
            headers=headers,
            ssl=ssl,
            timeout=timeout,
            reconnect=reconnect or Reconnect(),
            heartbeat=heartbeat,
            max_size=max_size,
            subscribes={
                "v1.balance.subscribe": Subscribes(
                    updates=("v1.balance.update",), unsubscribe="v1.balance.unsubscribe"
                ),
            },
            unsubscribes={
                "v1.balance.unsubscribe": "balance:{account}",
            },
        )
    )


class Api:
    """Orders.

    Orders and balances.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.v1 = V1Api(connection)

    async def __aenter__(self) -> Self:
        self._connection.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    @property
    def state(self) -> State:
        """Where the connection is."""
        return self._connection.state

    @property
    def last_close(self) -> Close | None:
        """How the last connection ended, or why there was none."""
        return self._connection.last_close

    async def opened(self) -> None:
        """Waits until the connection is open; raises when it is closed for good."""
        await self._connection.opened()

    async def close(self) -> None:
        """Ends everything, as leaving `async with` does: requests fail, streams end, no task is left."""
        await self._connection.close()

    def on_state(self, callback: Callable[[State], object]) -> Callable[[], None]:
        """Calls back with each new state. Returns a function that ends this."""
        return self._connection.on_state(callback)

    @overload
    def on(self, message: Literal["draining"], callback: Callable[[DrainingMessage], object]) -> Callable[[], None]: ...

    @overload
    def on(
        self, message: Literal["unsubscribed"], callback: Callable[[UnsubscribedMessage], object]
    ) -> Callable[[], None]: ...

    @overload
    def on(
        self, message: Literal["v1.balance.update"], callback: Callable[[V1BalanceUpdateMessage], object]
    ) -> Callable[[], None]: ...

    @overload
    def on(
        self, message: Literal["v1.orders.filled"], callback: Callable[[V1OrdersFilledMessage], object]
    ) -> Callable[[], None]: ...

    @overload
    def on(self, message: Literal["error"], callback: Callable[[ErrorMessage], object]) -> Callable[[], None]: ...

    def on(self, message: str, callback: Callable[[Any], object]) -> Callable[[], None]:
        """Calls back with each frame of a type that answers no request. Returns a function that ends this."""
        return self._connection.on(message, callback)

    async def ping(self, payload: FastwsPing | None = None, *, timeout: float | None = None) -> FastwsPong:
        """Echoes its payload and adds the server's time.

        Browsers cannot send ping frames; clients measure latency with this operation.
        """
        reply: FastwsPong = await self._connection.request("ping", payload, timeout)
        return reply


class V1Api:
    """The operations that begin with `v1.`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.balance = V1BalanceApi(connection)
        self.orders = V1OrdersApi(connection)


class V1BalanceApi:
    """The operations that begin with `v1.balance.`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def subscribe(self, payload: Account, *, timeout: float | None = None) -> V1BalanceSubscribeResponsePayload:
        """The balance of an account, in dollars.

        The topic is `balance:{account}`; its updates reach `on` and streams.
        """
        reply: V1BalanceSubscribeResponsePayload = await self._connection.request(
            "v1.balance.subscribe", payload, timeout
        )
        return reply

    async def unsubscribe(
        self, payload: Account, *, timeout: float | None = None
    ) -> V1BalanceUnsubscribeResponsePayload:
        """Stops what v1.balance.subscribe began.

        The topic is `balance:{account}`; its streams end.
        """
        reply: V1BalanceUnsubscribeResponsePayload = await self._connection.request(
            "v1.balance.unsubscribe", payload, timeout
        )
        return reply

    def stream(self, payload: Account, *, buffer: int = 1024, timeout: float | None = None) -> Stream[float]:
        """Subscribes with `v1.balance.subscribe` and yields the payloads of `v1.balance.update`, until the loop is
        left.

        `frames()` yields them with their topics and offsets. At most `buffer` updates wait to be read; then the
        oldest is skipped.
        """
        return Stream(self._connection, "v1.balance.subscribe", payload, buffer, timeout)


class V1OrdersApi:
    """The operations that begin with `v1.orders.`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def cancel_all(self, *, timeout: float | None = None) -> None:
        """Cancels everything.

        Deprecated: it is better not to begin with it.
        """
        await self._connection.notify("v1.orders.cancel_all", timeout=timeout)

    async def place(self, payload: OrderInput, *, timeout: float | None = None) -> Order:
        """Places an order.

        It is *not* idempotent.
        """
        reply: Order = await self._connection.request("v1.orders.place", payload, timeout)
        return reply


# ----------------------------------------------------------------------------------------------------------------------
