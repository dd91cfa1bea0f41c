// The subscriptions that the console has made.

import { element } from './element.js';
import { oneLine } from './code.js';

/** A list of a session's subscriptions, each with its topics, a count of updates and a way to end it. */
export function subscriptionList(session) {
  const list = element('ul', {});
  const count = element('span', { class: 'count' });
  const node = element('section', { class: 'subscriptions', 'aria-labelledby': 'subscriptions-name', hidden: true }, element('h3', { id: 'subscriptions-name', class: 'label' }, 'Subscriptions ', count), list);
  const counters = new Map();

  const show = () => {
    counters.clear();
    node.hidden = !session.subscriptions.length;
    count.textContent = String(session.subscriptions.length);
    list.replaceChildren(...session.subscriptions.map(row));
  };
  const row = (subscription) => {
    const { operation, payload, topics, state } = subscription;
    const name = topics.join(', ') || operation.message.key;
    const counter = element('span', { class: 'updates' }, updates(subscription));
    counters.set(subscription, counter);
    return element(
      'li',
      { class: state, title: payload === undefined ? undefined : oneLine(payload) },
      element('span', { class: 'topics' }, topics.length ? topics.map((topic) => element('code', { class: 'topic' }, topic)) : element('code', {}, name)),
      state === 'active' ? counter : element('span', { class: 'updates' }, STATES[state]),
      element('button', { type: 'button', class: 'small-button', 'aria-label': `Unsubscribe from ${name}`, onclick: () => session.unsubscribe(subscription) }, 'Unsubscribe'),
    );
  };
  let isAsked = false;
  session.addEventListener('subscriptions', show);
  session.addEventListener('count', () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => {
      isAsked = false;
      for (const [subscription, counter] of counters) counter.textContent = updates(subscription);
    });
  });
  return node;
}

function updates({ count }) {
  return `${count.toLocaleString('en')} update${count === 1 ? '' : 's'}`;
}

const STATES = { interrupted: 'waits for the connection', renewing: 'subscribing again' };
