// Why a connection ended: close codes in words, and whether to come back. No DOM here.

/**
 * What the end of a connection means: `{code, meaning, advice, mayReturn}`. `documented` are the document's own
 * `[code, text]` pairs; `reason` is what the server said with the code.
 */
export function explainClose(documented, { code, reason }) {
  const own = documented.find(([known]) => Number(known) === code)?.[1];
  const [meaning, advice] = STANDARD[code] ?? [range(code), undefined];
  return {
    code,
    reason,
    meaning: own === undefined ? meaning : textOf(own),
    advice: advice ?? (mayReturn(code) ? 'The console connects again by itself.' : 'Connecting again as before would end the same way.'),
    mayReturn: mayReturn(code),
  };
}

/** The words of a documented close code, which may be an object with a description. */
export function textOf(value) {
  return value !== null && typeof value === 'object' ? value.description ?? value.meaning ?? JSON.stringify(value) : String(value);
}

/** Whether a client may connect again by itself. */
function mayReturn(code) {
  return !(FINAL.includes(code) || (code >= 4000 && code <= 4099));
}

function range(code) {
  if (code >= 4000 && code <= 4099) return 'Refused by the application: do not reconnect.';
  if (code >= 4100 && code <= 4199) return 'Ended by the application: reconnect with back-off.';
  if (code >= 4000) return 'A code of the application’s own.';
  return 'A close code without a documented meaning.';
}

const FINAL = [1000, 1002, 1003, 1007, 1008, 1009, 1010];
const STANDARD = {
  1000: ['Closed normally.', 'Nothing is wrong. Connect again when you like.'],
  1001: ['The other side is going away.', undefined],
  1002: ['WebSocket protocol error.', 'A proxy on the way may have changed a frame.'],
  1003: ['The server cannot take what was sent.', 'Mend the frame sent last, or give it an id: a request with an id is answered by an error instead.'],
  1005: ['Closed without a code.', undefined],
  1006: ['The connection broke without a goodbye: the server has stopped, or the network between.', undefined],
  1007: ['A text message was not UTF-8.', undefined],
  1008: ['The server’s policy was broken.', 'Send less at once, then connect again.'],
  1009: ['A message was too big.', 'Send smaller frames, then connect again.'],
  1010: ['An extension is missing.', undefined],
  1011: ['The server failed.', undefined],
  1012: ['The server restarts.', undefined],
  1013: ['The server is overloaded.', undefined],
  1015: ['The TLS handshake failed.', 'Look at the certificate.'],
  4001: ['Authentication is required, or the token is not valid.', 'Give a valid token under Options, then connect again.'],
  4002: ['The user was not found or is not active.', 'Use the token of another user.'],
  4003: ['Too many connections.', 'Close another connection of this user, then connect again.'],
  4004: ['The format of a message is not valid.', 'Mend the frame sent last, then connect again.'],
  4006: ['Access was revoked.', 'Use another token.'],
  4008: ['Authentication took too long.', 'Connect again, and authenticate at once.'],
  4009: ['Too many errors.', 'Wait a little and mend the requests, then connect again.'],
  4101: ['The token has expired.', 'Give a fresh token under Options.'],
  4102: ['This client reads too slowly.', undefined],
  4103: ['The heartbeat was missed.', undefined],
  4104: ['The connection has reached its greatest age.', undefined],
  4105: ['The position in a topic was lost.', undefined],
};
