// A small client of the API that serves it: one WebSocket feeds the table, the chart and the frames.

const at = (id) => document.getElementById(id);
const maker = (space) => (name, attributes = {}, ...children) => {
  const node = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};
const html = maker('http://www.w3.org/1999/xhtml');
const svg = maker('http://www.w3.org/2000/svg');

/* Connection */

const ADDRESS = new URL('api/v1/ws', document.baseURI);
ADDRESS.protocol = ADDRESS.protocol === 'https:' ? 'wss:' : 'ws:';
const CLOSED = {
  1000: 'closed normally', 1001: 'the server is going away', 1003: 'the server did not understand', 1006: 'no connection to the server',
  1008: 'policy', 1009: 'a message was too big', 1011: 'internal error', 1012: 'the server restarts', 1013: 'the server is overloaded',
  4102: 'this client reads too slowly', 4103: 'heartbeat missed', 4104: 'lifespan reached',
};
const isFinal = (code) => [1000, 1002, 1003, 1007, 1008, 1009].includes(code) || (code >= 4000 && code < 4100);
const SLOWEST_RETRY_MS = 30_000;
/** After a connection that lasted this long, the back-off begins anew. */
const GOOD_MS = 5000;

let socket, timer, openedAt, announcedDelay;
let attempts = 0;
let lastId = 0;
const waiting = new Map();

function connect() {
  clearTimeout(timer);
  show('connecting', 'Connecting…');
  openedAt = announcedDelay = undefined;
  socket = new WebSocket(ADDRESS);
  socket.onopen = () => {
    openedAt = performance.now();
    show('live', 'Live');
    at('trouble').hidden = true;
    quoted.clear();
    subscribeQuotes();
    if (chart) openChart(chart.symbol, chart.resolution);
  };
  socket.onmessage = ({ data }) => receive(data);
  socket.onclose = ({ code, reason }) => closed(code, reason);
}

function closed(code, reason) {
  waiting.clear();
  if (chart) chart.isSubscribed = false;
  const words = CLOSED[code] ?? 'closed by the server';
  const sentence = `Connection ended with ${code}: ${words}${reason ? ` (“${reason}”)` : ''}.`;
  at('trouble').hidden = false;
  if (isFinal(code)) {
    show('stopped', 'Closed');
    at('trouble-text').textContent = `${sentence} Not trying again.`;
    return;
  }
  if (openedAt && performance.now() - openedAt > GOOD_MS) attempts = 0;
  const backOff = Math.min(SLOWEST_RETRY_MS, 500 * 2 ** attempts++) * (0.5 + Math.random() / 2);
  show('waiting', 'Reconnecting');
  countDown(sentence, performance.now() + (announcedDelay ?? backOff));
}

function countDown(sentence, until) {
  const left = until - performance.now();
  if (left <= 0) return connect();
  at('trouble-text').textContent = `${sentence} Next try in ${Math.ceil(left / 1000)} s.`;
  timer = setTimeout(countDown, Math.min(left, 1000), sentence, until);
}

function show(state, text) {
  at('connection').className = state;
  at('connection').textContent = text;
  at('content').classList.toggle('stale', state !== 'live');
}

at('retry').onclick = () => socket.readyState === WebSocket.CLOSED && connect();

/** Sends a request if there is a connection; `answered` gets the payload of its reply. */
function request(type, payload, answered) {
  if (socket?.readyState !== WebSocket.OPEN) return false;
  const id = String(++lastId);
  const text = JSON.stringify({ type, id, payload });
  waiting.set(id, answered);
  socket.send(text);
  record('sent', text);
  return true;
}

function receive(text) {
  const frame = JSON.parse(text);
  const { type, id, topic, payload } = frame;
  record('received', text, frame);
  const answered = waiting.get(id);
  waiting.delete(id);
  if (type === 'error') {
    const details = (payload.details ?? []).map(({ path, message }) => `${path} ${message}`);
    notify(`${payload.code}: ${[payload.message, ...details].join('; ')}`, true);
  } else if (answered) {
    answered(payload);
  } else if (type === 'quotes.update') {
    quote(payload);
  } else if (type === 'bars.update') {
    if (chart && topic === chart.topic) live(payload);
  } else if (type === 'system.notification') {
    notify(`${iso(payload.timestamp ?? Date.now()).slice(11, 19)} UTC: ${payload.message}`);
  } else if (type === 'draining') {
    announcedDelay = payload.retry_after_ms;
    notify('The server is about to restart.');
  }
}

/** Shows a banner, once for the same words. */
function notify(text, isError = false) {
  const notices = at('notices');
  if ([...notices.children].some((notice) => notice.firstChild.textContent === text)) return;
  const dismiss = html('button', { type: 'button' }, 'Dismiss');
  const notice = html('div', { class: isError ? 'notice error' : 'notice' }, html('span', {}, text), dismiss);
  dismiss.onclick = () => notice.remove();
  notices.append(notice);
  if (notices.children.length > 3) notices.firstChild.remove();
}

/* Instruments */

const instruments = new Map();
const quoted = new Set();
const changed = new Set();
const MOST_QUOTES = 100;
const calm = matchMedia('(prefers-reduced-motion: reduce)');
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 2 });
const iso = (time) => new Date(time).toISOString();

/** A replay lists its symbols as it goes, so it is asked again: soon while the list is empty, seldom after. */
async function list() {
  try {
    const found = await read('search', { query: '', type: '', exchange: '', limit: MOST_QUOTES });
    found.filter(({ symbol }) => !instruments.has(symbol)).slice(0, MOST_QUOTES - instruments.size).forEach(add);
    at('list-state').textContent = 'No instrument is listed yet…';
    at('list-state').hidden = instruments.size > 0;
    subscribeQuotes();
    if (!chart && instruments.size) choose(instruments.keys().next().value);
  } catch (error) {
    at('list-state').textContent = `The instruments cannot be read: ${error.message}.`;
  }
  setTimeout(list, instruments.size ? 20_000 : 2000);
}

async function read(path, parameters) {
  const response = await fetch(`api/v1/datafeed/${path}?${new URLSearchParams(parameters)}`);
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return response.json();
}

function add({ symbol, description, exchange }) {
  const about = `${description} · ${exchange}`;
  const button = html('button', { type: 'button', 'aria-pressed': 'false' }, html('b', {}, symbol), html('small', {}, about));
  const cells = ['last', 'wide', '', 'wide', 'wide', 'middle'].map((name) => html('td', { class: name }, '–'));
  const row = html('tr', {}, html('th', { scope: 'row' }, button), ...cells);
  row.onclick = () => choose(symbol);
  instruments.set(symbol, { symbol, about, row, button, cells, digits: 0, flashedAt: 0 });
  document.querySelector('#instruments tbody').append(row);
}

function subscribeQuotes() {
  const symbols = [...instruments.keys()].filter((symbol) => !quoted.has(symbol));
  if (symbols.length) request('quotes.subscribe', { symbols }, () => symbols.forEach((symbol) => quoted.add(symbol)));
}

function quote(payload) {
  const instrument = instruments.get(payload.symbol);
  if (!instrument) return;
  instrument.quote = payload;
  notePrices(instrument, [payload.lp, payload.bid, payload.ask, payload.prev_close_price]);
  changed.add(instrument);
  repaint();
}

/** A symbol shows as many decimals as its finest price so far, so that its column does not jump. */
function notePrices(instrument, prices) {
  for (const price of prices) instrument.digits = Math.max(instrument.digits, decimals(price ?? 0));
}

function decimals(number) {
  return number.toFixed(8).replace(/0+$/, '').split('.')[1].length;
}

function paintRow(instrument) {
  const { cells, digits, shown } = instrument;
  const { lp, ch, chp, bid, ask, volume } = instrument.quote;
  const way = ch > 0 ? 'up' : ch < 0 ? 'down' : '';
  const texts = [price(lp, digits), signed(ch, digits), `${signed(chp, 2)} %`, price(bid, digits), price(ask, digits), compact.format(volume)];
  texts.forEach((text, i) => (cells[i].textContent = text));
  cells[1].className = `wide ${way}`;
  cells[2].className = way;
  instrument.shown = lp;
  const now = performance.now();
  if (shown === undefined || shown === lp || calm.matches || now - instrument.flashedAt < 500) return;
  instrument.flashedAt = now;
  cells[0].animate({ backgroundColor: [`color-mix(in srgb, var(--${lp > shown ? 'up' : 'down'}) 22%, transparent)`, 'transparent'] }, { duration: 700 });
}

function price(value, digits) {
  return value == null ? '–' : value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function signed(value, digits) {
  return `${value > 0 ? '+' : value < 0 ? '−' : ''}${price(Math.abs(value), digits)}`;
}

/* Chart */

const RESOLUTIONS = { 1: ['1m', 60], 5: ['5m', 300], 15: ['15m', 900], 30: ['30m', 1800], 60: ['1h', 3600], 240: ['4h', 14_400], D: ['1D', 86_400], W: ['1W', 604_800] };
const CANDLES = 90;
const DAY = 86_400_000;
/** Weeks begin on Monday, and the first Monday was the fifth day of 1970. */
const MONDAY = 4 * DAY;
const STEPS = [1, 5, 15, 30, 60, 120, 240, 720, 1440, 10_080, 40_320, 120_960, 483_840].map((minutes) => minutes * 60_000);

/** What is drawn: `bars` ascending, `early` those that came before the history did. */
let chart;
let isDue = false;

for (const [value, [label]] of Object.entries(RESOLUTIONS)) {
  const input = html('input', { type: 'radio', name: 'resolution', value });
  input.checked = value === '1';
  input.onchange = () => chart && openChart(chart.symbol, value);
  at('resolutions').append(html('label', {}, input, label));
}

function choose(symbol) {
  if (symbol === chart?.symbol) return;
  for (const instrument of instruments.values()) {
    instrument.row.classList.toggle('chosen', instrument.symbol === symbol);
    instrument.button.ariaPressed = String(instrument.symbol === symbol);
  }
  at('chart-title').textContent = symbol;
  at('chart-about').textContent = `${instruments.get(symbol).about} · UTC`;
  openChart(symbol, document.querySelector('#resolutions :checked').value);
}

function openChart(symbol, resolution) {
  if (chart?.isSubscribed) request('bars.unsubscribe', { symbol: chart.symbol, resolution: chart.resolution });
  const view = (chart = { symbol, resolution, bars: [], early: [], state: 'Loading…' });
  view.isSubscribed = request('bars.subscribe', { symbol, resolution }, ({ topic }) => (view.topic = topic));
  loadHistory(view);
  redraw();
}

async function loadHistory(view) {
  const { symbol, resolution } = view;
  const seconds = RESOLUTIONS[resolution][1];
  const ask = (to) => read('history', { symbol, resolution, from: to - CANDLES * seconds, to, countback: CANDLES });
  try {
    // An hour ahead: this clock may be behind the server's, and there are no bars after the newest.
    let answer = await ask(Math.ceil(Math.max(Date.now(), instruments.get(symbol).quote?.time ?? 0) / 1000) + 3600);
    if (answer.s === 'no_data' && answer.nextTime) answer = await ask(answer.nextTime + seconds);
    if (answer.s === 'error') throw new Error(answer.errmsg);
    const { t = [], o, h, l, c, v } = answer;
    view.bars = t.map((time, i) => ({ time: time * 1000, open: o[i], high: h[i], low: l[i], close: c[i], volume: v[i] }));
    for (const bar of view.early) place(view.bars, bar);
    view.state = 'No candles yet; the first will appear here.';
  } catch (error) {
    view.state = `The history cannot be read: ${error.message}.`;
  }
  view.early = undefined;
  if (view === chart) redraw();
}

function live(bar) {
  place(chart.bars, bar);
  chart.early?.push(bar);
  redraw();
}

/** Puts a bar where its time belongs; one of the same time is replaced. */
function place(bars, bar) {
  let i = bars.length;
  while (i > 0 && bars[i - 1].time > bar.time) i--;
  if (i > 0 && bars[i - 1].time === bar.time) bars[i - 1] = bar;
  else bars.splice(i, 0, bar);
}

const canvas = svg('svg', { role: 'img', 'aria-label': 'Candles' });
at('plot').append(canvas);
new ResizeObserver(redraw).observe(at('plot'));

function draw() {
  const { width, height } = at('plot').getBoundingClientRect();
  const instrument = instruments.get(chart.symbol);
  at('chart-state').textContent = chart.bars.length ? '' : chart.state;
  canvas.replaceChildren();
  at('reading').replaceChildren();
  const bars = chart.bars.slice(-Math.min(CANDLES, Math.floor(width / 5.5)));
  canvas.setAttribute('aria-label', `${chart.symbol}: ${bars.length} candles of ${RESOLUTIONS[chart.resolution][0]}`);
  if (!bars.length) return;
  const last = bars.at(-1);
  notePrices(instrument, bars.flatMap(({ high, low }) => [high, low]));
  const { digits } = instrument;
  const right = width - price(last.close, digits).length * 6.6 - 18;
  const bottom = height - 20;
  const slot = Math.min(18, right / bars.length);
  const top = Math.max(...bars.map((bar) => bar.high));
  const low = Math.min(...bars.map((bar) => bar.low));
  const span = top - low || 1;
  const x = (i) => right - (bars.length - i - 0.5) * slot;
  const y = (value) => 10 + ((top - value) / span) * (height * 0.84 - 36);

  const level = crisp(y(last.close));
  const parts = timeMarks(bars, x, slot, bottom);
  for (const value of niceValues(low, top, 10 ** -digits)) {
    parts.push(svg('line', { class: 'grid', x1: 0, x2: right, y1: crisp(y(value)), y2: crisp(y(value)) }));
    if (Math.abs(y(value) - level) > 14) parts.push(svg('text', { x: right + 7, y: y(value) + 4 }, price(value, digits)));
  }

  const paths = { up: '', down: '' };
  const volumes = { up: '', down: '' };
  const most = Math.max(...bars.map((bar) => bar.volume)) || 1;
  const body = Math.max(1, Math.floor(slot * 0.68) - 1);
  bars.forEach(({ open, high, low, close, volume }, i) => {
    const way = close < open ? 'down' : 'up';
    const middle = crisp(x(i));
    const left = crisp(middle - body / 2);
    const [from, to] = [y(Math.max(open, close)), y(Math.min(open, close))].map(crisp);
    paths[way] += `M${middle} ${y(high).toFixed(1)}V${y(low).toFixed(1)}M${left} ${from}h${body}V${to}h${-body}z`;
    volumes[way] += `M${left - 0.5} ${bottom}h${body + 1}v${((-volume / most) * height * 0.13).toFixed(1)}h${-body - 1}z`;
  });
  for (const way of ['up', 'down']) {
    parts.push(svg('path', { class: `volume ${way}`, d: volumes[way] }), svg('path', { class: `candles ${way}`, d: paths[way] }));
  }

  const way = last.close < last.open ? 'down' : 'up';
  parts.push(
    svg('line', { class: way, x1: 0, x2: right, y1: level, y2: level }),
    svg('rect', { class: way, x: right + 2, y: level - 9, width: width - right - 4, height: 18, rx: 4 }),
    svg('text', { class: 'tag', x: right + 7, y: level + 4 }, price(last.close, digits)),
  );
  canvas.append(...parts);
  canvas.setAttribute('viewBox', `0 0 ${width} ${height}`);
  const reading = ['open', 'high', 'low', 'close'].map((name) => [name[0], price(last[name], digits)]);
  reading.push(['v', compact.format(last.volume)]);
  at('reading').replaceChildren(...reading.map(([name, text]) => html('div', {}, html('dt', {}, name), html('dd', {}, text))));
}

/** The round values between two prices, about five. */
function niceValues(low, high, finest) {
  const rough = (high - low || finest) / 5;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(finest, unit * [1, 2, 5, 10].find((factor) => unit * factor >= rough));
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.max(0, Math.floor(high / step) - first + 1) }, (_, i) => (first + i) * step);
}

function timeMarks(bars, x, slot, bottom) {
  const step = STEPS.find((step) => (step / RESOLUTIONS[chart.resolution][1] / 1000) * slot >= 58) ?? STEPS.at(-1);
  const marks = [];
  let free = 14;
  bars.forEach(({ time }, i) => {
    if ((time - (step > DAY ? MONDAY : 0)) % step || x(i) < free) return;
    const label = iso(time).slice(...(step > 40 * DAY ? [0, 7] : step >= DAY || time % DAY === 0 ? [5, 10] : [11, 16]));
    marks.push(svg('text', { x: x(i), y: bottom + 15, 'text-anchor': 'middle' }, label));
    free = x(i) + 50;
  });
  return marks;
}

const crisp = (value) => Math.floor(value) + 0.5;

let painting;

function redraw() {
  isDue = true;
  repaint();
}

/** Paints once per picture, however many frames came. */
function repaint() {
  painting ??= requestAnimationFrame(() => {
    painting = undefined;
    changed.forEach(paintRow);
    changed.clear();
    if (isDue && chart) draw();
    isDue = false;
  });
}

/* Frames */

/** Requests and replies have places of their own: updates do not push them out. */
const PLACES = { dialogue: 4, updates: 8 };
const SHOW_EVERY_MS = 300;
/** Nobody reads a hundred frames a second, so one update of a kind is shown in this time. */
const SAMPLE_MS = 450;
const TOKENS = /("(?:[^"\\]|\\.)*")(:)?|-?\d[\d.eE+-]*|true|false|null/g;
const frames = { dialogue: [], updates: [] };
const sampledAt = new Map();
let counted = 0;
let countedBefore = 0;

function record(way, text, frame) {
  counted++;
  const time = Date.now();
  const kind = frame?.topic ? 'updates' : 'dialogue';
  if (frame?.topic) {
    const sample = `${frame.type} ${frame.snapshot}`;
    if (time - sampledAt.get(sample) < SAMPLE_MS) return;
    sampledAt.set(sample, time);
  }
  frames[kind].push({ way, text, time });
  if (frames[kind].length > PLACES[kind]) frames[kind].shift();
}

setInterval(() => {
  at('rate').textContent = `${counted.toLocaleString('en')} frames, ${counted - countedBefore} per second; updates are sampled`;
  countedBefore = counted;
}, 1000);

setInterval(() => {
  const ordered = [...frames.dialogue, ...frames.updates].sort((one, other) => one.time - other.time);
  if (!isPaused()) at('frames').replaceChildren(...ordered.map(frameItem));
}, SHOW_EVERY_MS);

function frameItem({ way, text, time }) {
  const arrow = html('span', { class: 'arrow', role: 'img', 'aria-label': way }, way === 'sent' ? '→' : '←');
  return html('li', { class: way }, arrow, html('time', {}, iso(time).slice(11, 23)), html('code', {}, ...coloured(text)));
}

function coloured(text) {
  const parts = [];
  let end = 0;
  for (const { 0: token, 1: string, 2: colon, index } of text.matchAll(TOKENS)) {
    const shown = string ?? token;
    parts.push(text.slice(end, index), html('span', { class: `json-${string ? (colon ? 'key' : 'string') : 'number'}` }, shown));
    end = index + shown.length;
  }
  return [...parts, text.slice(end)];
}

const isPaused = () => at('pause').ariaPressed === 'true';

at('pause').onclick = () => {
  at('pause').ariaPressed = String(!isPaused());
  at('pause').textContent = isPaused() ? 'Resume' : 'Pause';
  at('frames').classList.toggle('whole', isPaused());
};
at('address').textContent = ADDRESS.href;

connect();
list();
