// JSON Schema (draft 7) as a readable tree of fields.

import { oneLine } from './code.js';
import { badge, disclosure, element, fragment } from './element.js';
import { inline, markdown } from './markdown.js';
import { schemaId } from './document.js';

/** The type of a schema in words, with links to named types: "array of `Bar`", "string or null". */
export function typeLabel(model, schema, depth = 0) {
  const seen = view(model, schema);
  const nullable = seen.isNullable ? ' or null' : '';
  if (seen.broken) return fragment(element('span', { class: 'broken' }, `unresolved ${seen.broken}`));
  if (seen.name) return fragment(schemaLink(model, seen.name), nullable);
  return fragment(baseLabel(model, seen.schema, depth), nullable);
}

/** What is inside a schema: constraints, values, fields, variants. `trail` holds the types around it. */
export function schemaBody(model, schema, trail = []) {
  const seen = view(model, schema);
  const inside = seen.name ? [...trail, seen.name] : trail;
  return fragment(constraints(model, seen.schema), structure(model, seen.schema, inside, true));
}

/** The description of a schema, wherever its `$ref` leads. */
export function schemaDescription(model, schema) {
  return view(model, schema).schema.description;
}

function structure(model, schema, trail, isRoot) {
  const { rows, isClosed } = fieldsOf(schema);
  const variants = variantsOf(schema);
  const items = schema.items !== undefined ? [].concat(schema.items) : [];
  return fragment(
    rows.length > 0 && element('ul', { class: 'fields' }, rows.map((row) => field(model, row, trail))),
    isClosed && rows.length > 0 && isRoot && element('p', { class: 'note' }, 'No other fields are accepted.'),
    variants.length > 0 && variantList(model, schema, variants, trail, isRoot),
    items.length === 1 && !Array.isArray(schema.items) && hasInside(model, items[0]) && nested(model, 'Items', items[0], trail, isRoot),
    Array.isArray(schema.items) &&
      element('ol', { class: 'fields tuple' }, items.map((item, i) => field(model, { name: String(i), schema: item, isRequired: true }, trail))),
  );
}

function fieldsOf(schema) {
  const rows = Object.entries(schema.properties ?? {}).map(([name, value]) => ({
    name,
    schema: value,
    isRequired: schema.required?.includes(name) ?? false,
  }));
  for (const [pattern, value] of Object.entries(schema.patternProperties ?? {})) {
    rows.push({ name: `/${pattern}/`, schema: value, isPattern: true });
  }
  if (isSchema(schema.additionalProperties)) {
    rows.push({ name: rows.length ? 'any other field' : 'each value', schema: schema.additionalProperties, isPattern: true });
  }
  return { rows, isClosed: schema.additionalProperties === false };
}

function field(model, { name, schema, isRequired, isPattern }, trail) {
  const seen = view(model, schema);
  const text = seen.schema;
  return element(
    'li',
    { class: 'field' },
    element(
      'div',
      { class: 'field-head' },
      element('code', { class: isPattern ? 'name pattern' : 'name' }, name),
      element('span', { class: 'type' }, typeLabel(model, schema)),
      isRequired && badge('required', 'required'),
      text.deprecated === true && badge('deprecated', 'deprecated'),
      text.readOnly === true && badge('plain', 'read only'),
      text.writeOnly === true && badge('plain', 'write only'),
    ),
    text.description && element('div', { class: 'prose' }, markdown(text.description)),
    constraints(model, text),
    inside(model, seen, schema, trail),
  );
}

function inside(model, seen, schema, trail) {
  if (seen.name && trail.includes(seen.name)) return recursion(model, seen.name);
  if (!hasInside(model, schema)) return undefined;
  const { schema: target } = seen;
  if (target.items !== undefined && !Array.isArray(target.items) && !target.properties) return nested(model, 'Items', target.items, trail);
  return nested(model, variantsOf(target).length ? 'Variants' : 'Fields', schema, trail);
}

function nested(model, label, schema, trail, open = false) {
  const { name } = view(model, schema);
  if (name && trail.includes(name)) return recursion(model, name);
  const content = () => structure(model, view(model, schema).schema, name ? [...trail, name] : trail, false);
  return disclosure([label, name && ' of ', name && element('code', {}, name)], content, open);
}

function recursion(model, name) {
  return element('p', { class: 'note' }, 'Recursive: the same fields as ', schemaLink(model, name), '.');
}

function variantList(model, schema, variants, trail, isRoot) {
  const label = schema.oneOf ? 'Exactly one of' : 'Any of';
  return element(
    'div',
    { class: 'variants' },
    element('p', { class: 'label' }, label),
    element(
      'ol',
      {},
      variants.map((variant) => {
        const seen = view(model, variant);
        const { name } = seen;
        const known = name && trail.includes(name);
        const title = [typeLabel(model, variant), discriminator(model, seen.schema)];
        const text = seen.schema.description;
        return element(
          'li',
          {},
          element('p', { class: 'variant-head' }, !name && seen.schema.title ? [element('b', {}, seen.schema.title), ' '] : undefined, title),
          text && element('div', { class: 'prose' }, markdown(text)),
          constraints(model, seen.schema),
          known ? recursion(model, name) : hasInside(model, variant) && nested(model, 'Fields', variant, trail, isRoot && variants.length <= 4),
        );
      }),
    ),
  );
}

/** The constant fields that tell one variant from another: `kind = "limit"`. */
function discriminator(model, schema) {
  return Object.entries(schema.properties ?? {})
    .map(([name, value]) => [name, view(model, value).schema.const])
    .filter(([, constant]) => constant !== undefined)
    .map(([name, constant]) => [' ', element('code', { class: 'value' }, `${name} = ${oneLine(constant)}`)]);
}

function hasInside(model, schema, depth = 0) {
  const { schema: target } = view(model, schema);
  if (fieldsOf(target).rows.length || variantsOf(target).length) return true;
  if (target.items === undefined || depth > MAX_DEPTH) return false;
  return Array.isArray(target.items) || hasInside(model, target.items, depth + 1);
}

function constraints(model, schema) {
  const each = isSchema(schema.items) && !Array.isArray(schema.items) ? view(model, schema.items) : undefined;
  const all = [...facts(schema), ...(each && !each.name ? facts(each.schema).map((fact) => ['each ', fact]) : [])];
  return fragment(
    all.length > 0 && element('ul', { class: 'constraints' }, all.map((fact) => element('li', {}, fact))),
    schema.enum && enumValues(schema),
  );
}

/** The constraints of a schema, each in a few words. */
export function facts(own) {
  return [
    own.const !== undefined && ['always ', value(own.const)],
    range(own),
    span(own.minLength, own.maxLength, 'character'),
    span(own.minItems, own.maxItems, 'item'),
    span(own.minProperties, own.maxProperties, 'field'),
    own.uniqueItems === true && 'no item twice',
    own.multipleOf !== undefined && ['multiple of ', value(own.multipleOf)],
    own.pattern !== undefined && ['matches ', element('code', { class: 'value' }, own.pattern)],
    own.contentEncoding !== undefined && ['encoded as ', value(own.contentEncoding)],
    own.default !== undefined && ['default ', value(own.default)],
    own.examples?.length > 0 && !own.enum && ['for example ', own.examples.slice(0, 3).map((example, i) => [i > 0 && ', ', value(example)])],
  ].filter(Boolean);
}

function enumValues(schema) {
  const described = schema['x-enum-descriptions'];
  const description = (item, i) => (Array.isArray(described) ? described[i] : described?.[item]);
  const text = (item) => (typeof item === 'string' ? item : oneLine(item));
  if (!schema.enum.some((item, i) => description(item, i))) {
    const items = schema.enum.map((item) => element('li', {}, element('code', { class: 'value' }, text(item))));
    return element('ul', { class: 'values', 'aria-label': 'Values' }, items);
  }
  return element(
    'dl',
    { class: 'values described' },
    schema.enum.map((item, i) =>
      element('div', {}, element('dt', {}, element('code', { class: 'value' }, text(item))), element('dd', {}, inline(description(item, i)))),
    ),
  );
}

function range({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }) {
  // A bound that JavaScript has rounded is that of the type, whose format says it.
  const isExact = (bound) => bound !== undefined && Math.abs(bound) <= Number.MAX_SAFE_INTEGER;
  const low = exclusiveMinimum !== undefined ? `> ${exclusiveMinimum}` : isExact(minimum) && `≥ ${minimum}`;
  const high = exclusiveMaximum !== undefined ? `< ${exclusiveMaximum}` : isExact(maximum) && `≤ ${maximum}`;
  return [low, high].filter(Boolean).join(' and ');
}

function span(low, high, unit) {
  const many = (count) => `${count} ${unit}${count === 1 ? '' : 's'}`;
  if (low !== undefined && high !== undefined) return low === high ? `exactly ${many(low)}` : `${low} to ${many(high)}`;
  if (low) return `at least ${many(low)}`;
  return high !== undefined && `at most ${many(high)}`;
}

function value(any) {
  return element('code', { class: 'value' }, oneLine(any));
}

function baseLabel(model, schema, depth) {
  if (depth > MAX_DEPTH) return '…';
  if (schema === NEVER) return 'nothing';
  const kinds = [].concat(schema.type ?? []);
  if (kinds.includes('array') || schema.items !== undefined) {
    if (Array.isArray(schema.items)) return `tuple of ${schema.items.length}`;
    return schema.items === undefined ? 'array' : ['array of ', typeLabel(model, schema.items, depth + 1)];
  }
  const variants = variantsOf(schema);
  if (variants.length && !schema.properties) {
    if (variants.length > 3) return `one of ${variants.length} variants`;
    return variants.map((variant, i) => [i > 0 && (i < variants.length - 1 ? ', ' : ' or '), variantLabel(model, variant, depth + 1)]);
  }
  if (isSchema(schema.additionalProperties) && !schema.properties) return ['map of ', typeLabel(model, schema.additionalProperties, depth + 1)];
  const base = kinds.join(' or ') || (schema.properties ? 'object' : typeof (schema.const ?? schema.enum?.[0] ?? undefined));
  return [base === 'undefined' ? 'any' : base, schema.format && [' ', element('span', { class: 'format' }, schema.format)]];
}

function variantLabel(model, variant, depth) {
  const { name, schema } = view(model, variant);
  return !name && schema.title ? schema.title : typeLabel(model, variant, depth);
}

export function variantsOf(schema) {
  return schema.oneOf ?? schema.anyOf ?? [];
}

function schemaLink(model, name) {
  if (!model.hasSchema(name)) return element('code', {}, name);
  return element('a', { href: `#${encodeURIComponent(schemaId(name))}` }, name);
}

function isSchema(any) {
  return any !== null && typeof any === 'object' && Object.keys(any).length > 0;
}

/**
 * A schema made plain: references followed, `allOf` merged, `null` taken out of unions (told by
 * `isNullable`), a union of constants turned into an enum. `name` is its component name, if any.
 */
export function view(model, schema, around = []) {
  const { schema: target, name, broken } = model.resolve(schema);
  if (broken) return { schema: {}, broken };
  if (target === false) return { schema: NEVER, name };
  // A schema that is a part of itself says nothing more the second time.
  if (target === true || typeof target !== 'object' || around.includes(target)) return { schema: {}, name };
  const inner = [...around, target];
  if (target.allOf?.length) return { ...merged(model, target, inner), ...(name && { name }) };

  const union = target.oneOf ? 'oneOf' : target.anyOf ? 'anyOf' : undefined;
  if (union) {
    const variants = target[union].filter((variant) => model.resolve(variant).schema?.type !== 'null');
    const isNullable = variants.length < target[union].length;
    const { [union]: _, ...rest } = target;
    if (variants.length === 1) {
      const only = view(model, variants[0], inner);
      return { ...only, schema: { ...only.schema, ...rest }, name: name ?? only.name, isNullable: isNullable || only.isNullable };
    }
    return { schema: constantsAsEnum(rest, variants) ?? { ...rest, [union]: variants }, name, isNullable };
  }
  if (Array.isArray(target.type) && target.type.includes('null')) {
    const kinds = target.type.filter((kind) => kind !== 'null');
    const values = target.enum?.filter((item) => item !== null);
    return { schema: { ...target, type: kinds.length === 1 ? kinds[0] : kinds, ...(values && { enum: values }) }, name, isNullable: true };
  }
  return { schema: target, name };
}

function merged(model, { allOf, ...rest }, around) {
  const parts = allOf.map((part) => view(model, part, around));
  const all = [...parts.map((part) => part.schema), rest];
  const schema = Object.assign({}, ...all);
  for (const key of ['properties', 'patternProperties']) {
    if (all.some((part) => part[key])) schema[key] = Object.assign({}, ...all.map((part) => part[key]));
  }
  if (all.some((part) => part.required)) schema.required = all.flatMap((part) => part.required ?? []);
  // One part and nothing that shapes it further is that part with another description.
  const isAlias = parts.length === 1 && !SHAPING.some((key) => key in rest);
  const broken = parts.find((part) => part.broken)?.broken;
  return { schema, broken, ...(isAlias && { name: parts[0].name, isNullable: parts[0].isNullable }) };
}

function constantsAsEnum(rest, variants) {
  const isConstant = (variant) => typeof variant === 'object' && ('const' in variant || Array.isArray(variant.enum));
  if (!variants.length || !variants.every(isConstant)) return undefined;
  const rows = variants.flatMap((variant) => ('const' in variant ? [[variant.const, variant.description]] : variant.enum.map((item) => [item])));
  const described = rows.some(([, text]) => text) ? { 'x-enum-descriptions': rows.map(([, text]) => text) } : {};
  return { type: variants[0].type, ...rest, enum: rows.map(([item]) => item), ...described };
}

const NEVER = Object.freeze({ not: {} });
const SHAPING = ['properties', 'type', 'enum', 'const', 'required', 'items', 'oneOf', 'anyOf'];
const MAX_DEPTH = 8;
