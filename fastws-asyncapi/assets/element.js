// DOM building. Strings become text nodes: nothing of a document is ever parsed as HTML.

/**
 * Builds an element. `on…` attributes take listeners; an attribute or child that is
 * undefined, null or false is left out.
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...present(children));
  return node;
}

export function fragment(...children) {
  const node = document.createDocumentFragment();
  node.append(...present(children));
  return node;
}

/** A link when the address is http, https or mailto; plain text otherwise. */
export function webLink(address, ...label) {
  const content = present(label).length ? label : [address];
  if (!/^(https?:\/\/|mailto:)/i.test(String(address).trim())) return fragment(...content);
  return element('a', { href: String(address).trim(), rel: 'noopener noreferrer' }, ...content);
}

export function badge(kind, ...content) {
  return element('span', { class: `badge ${kind}` }, ...content);
}

/** A disclosure whose body is built when it is first opened, so that recursive types cost nothing. */
export function disclosure(label, body, open = false) {
  const node = element('details', { class: 'disclosure', open }, element('summary', {}, ...label));
  let built = false;
  const build = () => {
    if (built || !node.open) return;
    built = true;
    node.append(element('div', { class: 'disclosed' }, body()));
  };
  node.addEventListener('toggle', build);
  build();
  return node;
}

/** Tells a screen reader, when it has time, what has changed. */
export function announce(text) {
  document.getElementById('status').textContent = text;
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false);
}
