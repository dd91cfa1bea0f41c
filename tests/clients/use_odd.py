"""Uses the client of `odd.json`: types that are rarely seen, names that clash, texts that try to break out."""

from __future__ import annotations

import inspect
from typing import assert_type

import client


async def use(api: client.Api) -> None:
    """Is only read by mypy."""
    assert_type(await api.draw({"kind": "box", "sides": (1.0, 2.0)}), client.Tree)
    assert_type(await api.draw("none"), client.Tree)
    await api.draw.more({"id": 1, "Limit": 2.0})
    await api.draw.list_({"a-b": 1, "class": "x", "__mangled": {"value": None, "children": []}})
    await api.draw.class_()
    await api.close_()
    await api.close_(1.5)
    await api.on_("d]")
    await api.state_({"a": [{"kind": "circle", "radius": 1.0}]})
    await api.import_({"base": "x", "extra": {"deep": 1}})
    await api.cancel_all()
    await api.cancel_all_()
    await api.cancel_all__()
    await api._2fa({"code": "1"})
    await api.quit({"n": 1, "s": "d]"})
    await api.a.stream_({"mine": "x"})
    async for update in api.a.stream({"list": [1], "none": None, "always": True, "nullable": None}):
        assert_type(update, client.Str | list[client.AOtherPayloadItem])
    async for other in api.a.stream_watch(1.5):
        assert_type(other, list[client.AOtherPayloadItem])
    async for frame in api.stream_follow({"base": "x"}).frames():
        assert_type(frame, client.Update[client.Str])
    api.on("told", lambda frame: print(frame["payload"]["at"]))
    tree: client.Tree = {"value": None, "children": [], "next": ["a", ["b"]]}
    print(tree, client.ApiError_, client.ApiError, client.BarInput, client.BarInput_)


api = client.connect("ws://localhost")
assert api.state == "closed" and callable(api.draw) and callable(api.draw.more)
assert inspect.signature(client.connect).parameters["url"].default == 'ws://h"\\/x/ws'
assert "Deprecated" in str(api.cancel_all.__doc__)
assert 'open("broken_out", "w")' in str(client.__doc__)
assert str(client.Api.__doc__).rstrip().endswith('ends with a quote "')
