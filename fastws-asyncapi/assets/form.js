// A form made from a schema: it shows a JSON value and reads it back.

import { oneLine } from './code.js';
import { badge, element } from './element.js';
import { inline } from './markdown.js';
import { facts, typeLabel, variantsOf, view } from './schema.js';
import { isSame, pointer, validate } from './validate.js';

/**
 * A form for one value: `node` to show, `read()` for the value, `show(faults)` to mark what is wrong where.
 * `changed` is called after every change by the reader.
 */
export function form(model, schema, value, changed) {
  const context = { model, changed, depth: 0 };
  const root = field(context, { schema, path: '', isRequired: true, isRoot: true }, value);
  return {
    node: root.node,
    read: root.read,
    show: (faults) => showFaults(root.node, faults),
  };
}

/** A value to begin with: what the schema proposes, else the least that it asks for. */
export function beginning(model, schema, depth = 0) {
  const { schema: seen, isNullable } = view(model, schema);
  for (const proposal of [seen.const, seen.default, seen.examples?.[0], seen.enum?.[0]]) {
    if (proposal !== undefined && proposal !== null) return proposal;
  }
  if (depth > MAX_DEPTH) return null;
  const [variant] = variantsOf(seen);
  if (variant !== undefined) return beginning(model, joined(seen, variant), depth + 1);
  switch (kindOf(seen)) {
    case 'object':
      return Object.fromEntries((seen.required ?? []).map((key) => [key, beginning(model, seen.properties?.[key] ?? {}, depth + 1)]));
    case 'array': {
      if (Array.isArray(seen.items)) return seen.items.map((item) => beginning(model, item, depth + 1));
      return Array.from({ length: seen.minItems ?? 0 }, () => beginning(model, seen.items ?? {}, depth + 1));
    }
    case 'integer':
    case 'number':
      return seen.minimum ?? 0;
    case 'boolean':
      return false;
    case 'string':
      return '';
    default:
      return isNullable ? null : {};
  }
}

/** One value with its name. `read` gives undefined when it is left out. */
function field(context, { name, nameNode, schema, path, isRequired, isRoot, remove }, value) {
  const { model } = context;
  const seen = view(model, schema);
  const own = seen.schema;
  const id = `field-${(ids += 1)}`;
  const label = name ?? 'payload';
  const slot = element('div', { class: 'field-value' });
  const states = [!isRequired && 'left out', seen.isNullable && 'null', 'value'].filter(Boolean);
  let control;

  const present = (state, given) => {
    control = make(context, { schema, own, path, id, label, state, states, isRoot }, given);
    slot.replaceChildren(control.node);
  };
  present(value === undefined && !isRequired ? 'left out' : value === null && seen.isNullable ? 'null' : 'value', value);

  const node = element(
    'div',
    { class: isRoot ? 'form-field root' : 'form-field', 'data-path': path, role: isRoot ? 'group' : undefined, 'aria-label': isRoot ? 'Payload' : undefined },
    (!isRoot || states.length > 1) &&
      element(
        'div',
        { class: 'form-head' },
        nameNode ? [nameNode, element('label', { for: id, class: 'hidden-text' }, 'Value')] : element('label', { for: id, class: 'name' }, label),
        element('span', { class: 'type' }, typeLabel(model, schema)),
        isRequired && name !== undefined && !remove && badge('required', 'required'),
        // A choice within the value itself says whether it is there; all else needs a choice of its own.
        states.length > 1 && !isChoice(own) && presence(label, states, () => control.state, (state) => {
          present(state, state === 'value' ? beginning(model, schema) : undefined);
          context.changed();
        }),
        remove && element('button', { type: 'button', class: 'small-button', 'aria-label': `Remove ${label}`, onclick: remove }, 'Remove'),
      ),
    // What belongs to a whole group stands above it, and to a single control below.
    !isRoot && isGroup(own) && help(own, id),
    slot,
    element('p', { class: 'fault', id: `${id}-fault`, hidden: true }),
    !isRoot && !isGroup(own) && help(own, id),
  );
  return { node, read: () => control.read() };
}

function presence(label, states, current, choose) {
  const select = element('select', { class: 'presence', 'aria-label': `${label}: present` }, states.map((state) => element('option', { value: state }, state)));
  select.value = current();
  select.addEventListener('change', () => choose(select.value));
  return select;
}

function help(own, id) {
  const known = limits(own);
  if (!own.description && !known.length) return undefined;
  return element(
    'p',
    { class: 'help', id: `${id}-help` },
    own.description && [inline(own.description.split(/\n\s*\n/)[0]), known.length > 0 && (/[.!?]\s*$/.test(own.description) ? ' ' : ' · ')],
    known.map((fact, i) => [i > 0 && ' · ', fact]),
  );
}

/** The constraints worth telling beside a control: what it shows by itself is left out. */
function limits(own) {
  return facts({ ...own, const: undefined, default: own.default ?? undefined });
}

/** The control for a value in one state. */
function make(context, spec, value) {
  const { schema, own, state } = spec;
  const inner = { ...context, depth: context.depth + 1 };
  if (isChoice(own)) return choiceControl(context, spec, value);
  if (state === 'left out') return { state, node: element('span', {}), read: () => undefined };
  if (state === 'null') return { state, node: element('code', { class: 'value' }, 'null'), read: () => null };
  const given = value === undefined ? beginning(context.model, schema) : value;
  const control = () => {
    if (context.depth > MAX_DEPTH) return jsonControl(context, spec, given);
    const variants = variantsOf(own);
    if (variants.length) return variantControl(inner, spec, variants.map((variant) => joined(own, variant)), given);
    if (Array.isArray(own.type)) return variantControl(inner, spec, own.type.map((type) => ({ ...own, type })), given);
    switch (kindOf(own)) {
      case 'object':
        return isPlain(given) ? objectControl(inner, spec, given) : jsonControl(context, spec, given);
      case 'array':
        return Array.isArray(given) ? arrayControl(inner, spec, given) : jsonControl(context, spec, given);
      case 'integer':
      case 'number':
        return numberControl(context, spec, given);
      case 'string':
        return typeof given === 'string' ? stringControl(context, spec, given) : jsonControl(context, spec, given);
      default:
        return jsonControl(context, spec, given);
    }
  };
  return { ...control(), state: 'value' };
}

/** A choice of constants, with `null` and `left out` among them. */
function choiceControl({ changed }, { own, id, states, state, path }, value) {
  const constants = own.const !== undefined ? [own.const] : own.enum ?? [true, false];
  const options = [...(states[0] === 'left out' ? [{ label: 'left out' }] : []), ...constants.map(option), ...(states.includes('null') ? [option(null)] : [])];
  // What the schema does not know is kept, so that a wrong value can be sent on purpose.
  if (value !== undefined && !options.some((one) => 'value' in one && isSame(one.value, value))) options.push(option(value));
  const select = element('select', { id, ...describedBy(id, own) }, options.map(({ label }, i) => element('option', { value: String(i) }, label)));
  const present = options.findIndex((one) => ('value' in one ? value !== undefined && isSame(one.value, value) : value === undefined));
  select.value = String(Math.max(0, present));
  select.addEventListener('change', changed);
  return { state, node: select, read: () => options[Number(select.value)].value };
}

function option(value) {
  return { value, label: typeof value === 'string' ? value : JSON.stringify(value) };
}

function stringControl({ changed }, { own, id, path }, value) {
  const isLong = value.includes('\n') || own.maxLength > 500;
  const input = element(isLong ? 'textarea' : 'input', { id, rows: isLong && 3, ...TEXT, ...describedBy(id, own), placeholder: own.examples?.[0] });
  input.value = value;
  input.addEventListener('input', changed);
  return { node: input, read: () => input.value };
}

/** A number as text: what is no number is read as the text it is, and the check says so. */
function numberControl({ changed }, { own, id, path }, value) {
  const input = element('input', { id, inputmode: 'decimal', ...TEXT, ...describedBy(id, own) });
  input.value = typeof value === 'number' ? String(value) : typeof value === 'string' ? value : JSON.stringify(value);
  input.addEventListener('input', changed);
  const read = () => {
    const text = input.value.trim();
    return NUMBER.test(text) ? Number(text) : text === 'null' ? null : text;
  };
  return { node: input, read };
}

/** Any JSON; what is not JSON is read as a string. */
function jsonControl({ changed }, { own, id, path, label }, value) {
  const input = element('textarea', { id, rows: 2, class: 'json-input', ...TEXT, ...describedBy(id, own), 'aria-label': `${label}, as JSON` });
  input.value = JSON.stringify(value);
  input.addEventListener('input', changed);
  const read = () => {
    try {
      return JSON.parse(input.value);
    } catch {
      return input.value;
    }
  };
  return { node: input, read };
}

function objectControl(context, { own, path, id, label, isRoot }, value) {
  const known = Object.entries(own.properties ?? {}).map(([name, schema]) => [
    name,
    field(context, { name, schema, path: pointer(path, name), isRequired: own.required?.includes(name) ?? false }, value[name]),
  ]);
  const others = otherFields(context, own, path, Object.entries(value).filter(([key]) => !Object.hasOwn(own.properties ?? {}, key)));
  const node = element('div', { id, class: isRoot ? 'group' : 'group nested', role: 'group', 'aria-label': label, tabindex: '-1' }, known.map(([, { node }]) => node), others?.node);
  const read = () =>
    Object.fromEntries([...known.map(([name, { read }]) => [name, read()]), ...(others?.read() ?? [])].filter(([, item]) => item !== undefined));
  return { node, read };
}

/** Fields without a place of their own: those of a map, and those that the schema does not know but the value has. */
function otherFields(context, own, path, entries) {
  const { additionalProperties } = own;
  const isOpen = additionalProperties === true || isPlain(additionalProperties);
  if (!isOpen && !entries.length) return undefined;
  const schema = isPlain(additionalProperties) ? additionalProperties : {};
  const rows = [];
  const list = element('div', { class: 'entries' });
  const add = (key, value) => {
    const keyInput = element('input', { ...TEXT, class: 'key-input', 'aria-label': 'Name of the field', placeholder: 'name' });
    keyInput.value = key;
    keyInput.addEventListener('input', () => {
      row.node.dataset.path = pointer(path, keyInput.value);
      context.changed();
    });
    const row = field(context, {
      name: key || 'entry',
      nameNode: keyInput,
      schema,
      path: pointer(path, key),
      isRequired: true,
      remove: () => {
        rows.splice(rows.findIndex((one) => one.row === row), 1);
        row.node.remove();
        context.changed();
      },
    }, value);
    rows.push({ keyInput, row });
    list.append(row.node);
    return keyInput;
  };
  for (const [key, value] of entries) add(key, value);
  const button = isOpen && element('button', { type: 'button', class: 'small-button' }, 'Add field');
  if (button) {
    button.addEventListener('click', () => {
      add('', beginning(context.model, Object.keys(schema).length ? schema : { type: 'string' })).focus();
      context.changed();
    });
  }
  return { node: element('div', {}, list, button), read: () => rows.map(({ keyInput, row }) => [keyInput.value, row.read()]) };
}

function arrayControl(context, { own, path, id, label }, value) {
  const isTuple = Array.isArray(own.items);
  const schemaOf = (i) => (isTuple ? own.items[i] ?? (isPlain(own.additionalItems) ? own.additionalItems : {}) : own.items ?? {});
  const list = element('div', { class: 'entries' });
  let rows = [];
  // Each item's path holds its place, so all are made anew when one goes.
  const show = (items) => {
    rows = items.map((item, i) =>
      field(
        context,
        {
          name: `${label}[${i}]`,
          schema: schemaOf(i),
          path: pointer(path, i),
          isRequired: true,
          remove: (!isTuple || i >= own.items.length) && (() => {
            show(read().filter((_, other) => other !== i));
            (rows[Math.min(i, rows.length - 1)]?.node.querySelector(FOCUSABLE) ?? add)?.focus();
            context.changed();
          }),
        },
        item,
      ),
    );
    list.replaceChildren(...rows.map(({ node }) => node));
  };
  const read = () => rows.map((row) => row.read());
  const add =
    (!isTuple || own.additionalItems !== false) &&
    element('button', { type: 'button', class: 'small-button', onclick: () => {
      show([...read(), beginning(context.model, schemaOf(rows.length))]);
      rows.at(-1).node.querySelector(FOCUSABLE)?.focus();
      context.changed();
    } }, 'Add item');
  show(value);
  return { node: element('div', { id, class: 'group nested', role: 'group', 'aria-label': label, tabindex: '-1' }, list, add), read };
}

/** One of several shapes: a choice, and the form of the chosen one. */
function variantControl(context, { path, id, label, isRoot }, variants, value) {
  const { model, changed } = context;
  const select = element('select', { id, 'aria-label': `${label}: variant` }, variants.map((variant, i) => element('option', { value: String(i) }, variantName(model, variant, i))));
  const slot = element('div', {});
  let inner;
  const show = (i, given) => {
    select.value = String(i);
    const own = view(model, variants[i]).schema;
    inner = make(context, { schema: variants[i], own, path, id: `${id}-${i}`, label, state: 'value', states: ['value'], isRoot }, given);
    slot.replaceChildren(inner.node);
  };
  show(nearestVariant(model, variants, value), value);
  select.addEventListener('change', () => {
    show(Number(select.value), beginning(model, variants[Number(select.value)]));
    changed();
  });
  return { node: element('div', { class: 'variant' }, select, slot), read: () => inner.read() };
}

function nearestVariant(model, variants, value) {
  const faults = variants.map((variant) => validate(model.resolve, variant, value));
  // A wrong constant outweighs everything else: that variant was not meant.
  const weight = (list) => list.reduce((sum, { message }) => sum + (/^must be (one of )?"/.test(message) ? 100 : 1), 0);
  const weights = faults.map(weight);
  return weights.indexOf(Math.min(...weights));
}

function variantName(model, variant, i) {
  const { schema, name } = view(model, variant);
  const constants = Object.entries(schema.properties ?? {})
    .map(([key, inner]) => [key, view(model, inner).schema])
    .filter(([, inner]) => inner.const !== undefined || inner.enum?.length === 1)
    .map(([key, inner]) => `${key} = ${oneLine(inner.const ?? inner.enum[0])}`);
  return schema.title ?? name ?? (constants.join(', ') || [].concat(schema.type ?? `variant ${i + 1}`).join(' or '));
}

/** A variant with what stands beside the choice. */
function joined({ oneOf, anyOf, title, description, ...beside }, variant) {
  return Object.keys(beside).length ? { allOf: [beside, variant] } : variant;
}

/** Marks the fields that are wrong; a fault without a field of its own stands at the nearest one around it. */
function showFaults(root, faults) {
  for (const node of root.querySelectorAll('.fault')) {
    node.hidden = true;
    node.replaceChildren();
  }
  for (const node of root.querySelectorAll('[aria-invalid]')) node.removeAttribute('aria-invalid');
  for (const { path, message, by } of faults) {
    const place = placeOf(root, path);
    const at = place.dataset.path === path ? '' : `${path.slice(place.dataset.path.length)} `;
    const note = place.querySelector(':scope > .fault');
    note.append(element('span', {}, by && element('b', {}, `${by}: `), `${at}${message}`));
    note.hidden = false;
    place.querySelector(':scope > .field-value > :is(input, select, textarea), :scope > .field-value > .variant > select')?.setAttribute('aria-invalid', 'true');
  }
}

/** The field at a path, or the nearest one around it. */
export function placeOf(root, path) {
  const all = [...root.querySelectorAll('[data-path]'), ...(root.matches('[data-path]') ? [root] : [])];
  for (let at = path; at; at = at.slice(0, at.lastIndexOf('/'))) {
    const place = all.find((node) => node.dataset.path === at);
    if (place) return place;
  }
  return root;
}

function describedBy(id, own) {
  const hasHelp = own.description || limits(own).length > 0;
  return { 'aria-describedby': [`${id}-fault`, hasHelp && `${id}-help`].filter(Boolean).join(' ') };
}

function isChoice(own) {
  return own.const !== undefined || own.enum !== undefined || own.type === 'boolean';
}

function isGroup(own) {
  return !isChoice(own) && (['object', 'array'].includes(kindOf(own)) || variantsOf(own).length > 0);
}

function kindOf({ type, properties, additionalProperties, items }) {
  if (type !== undefined) return type;
  if (properties || isPlain(additionalProperties)) return 'object';
  return items === undefined ? undefined : 'array';
}

function isPlain(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

let ids = 0;
const MAX_DEPTH = 16;
const NUMBER = /^-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const TEXT = { autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' };
/** What can take the focus within a field. */
export const FOCUSABLE = 'input, select, textarea, button';
