// The measured application on npm's `ws`: `node server.js PORT`.
const http = require("http");
const { WebSocketServer } = require("ws");

const topics = new Map();
const server = http.createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });

sockets.on("connection", (socket) => {
  const held = new Set();
  socket.on("error", () => socket.terminate());
  socket.on("close", () => held.forEach((subscribers) => subscribers.delete(socket)));
  socket.on("message", (data) => {
    const text = data.toString();
    const { type, id, payload } = JSON.parse(text);
    switch (type) {
      case "pub":
        for (const subscriber of topics.get(payload.topic) ?? []) {
          if (subscriber.readyState === subscriber.OPEN) subscriber.send(text);
        }
        break;
      case "sub": {
        if (!topics.has(payload.topic)) topics.set(payload.topic, new Set());
        const subscribers = topics.get(payload.topic);
        subscribers.add(socket);
        held.add(subscribers);
        socket.send('{"type":"sub.response","payload":{"ok":true}}');
        break;
      }
      case "bars.get": {
        const topic = `bars:${payload.symbol}:${payload.timeframe}`;
        socket.send(JSON.stringify({ type: "bars.get.response", id, payload: { topic } }));
        break;
      }
    }
  });
});

server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
