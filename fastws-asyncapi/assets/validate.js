// JSON Schema, draft 7: what is wrong with a value, and where. No DOM here.

/**
 * The faults of `value` as `{path, message}`, `path` being a JSON Pointer into it; none when it is valid.
 * `resolve` follows a `$ref`, as the model of a document does.
 */
export function validate(resolve, schema, value) {
  return check({ resolve, depth: 0 }, schema, value, '');
}

/** A JSON Pointer one step further. */
export function pointer(path, key) {
  return `${path}/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

/** Whether two JSON values are the same, whatever the order of their keys. */
export function isSame(one, other) {
  if (one === other) return true;
  if (one === null || other === null || typeof one !== 'object' || typeof other !== 'object') return false;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const keys = Object.keys(one);
  return keys.length === Object.keys(other).length && keys.every((key) => Object.hasOwn(other, key) && isSame(one[key], other[key]));
}

function check(context, given, value, path) {
  const { schema, broken } = context.resolve(given);
  // What cannot be looked up cannot be broken; the server has the last word.
  if (broken || schema === true || context.depth > MAX_DEPTH) return [];
  if (schema === false) return [fault(path, 'must be left out')];
  const inner = { ...context, depth: context.depth + 1 };
  const kind = kindFaults(schema, value, path);
  if (kind.length) return kind;
  return [
    ...constantFaults(schema, value, path),
    ...(typeof value === 'number' ? numberFaults(schema, value, path) : []),
    ...(typeof value === 'string' ? stringFaults(schema, value, path) : []),
    ...(Array.isArray(value) ? arrayFaults(inner, schema, value, path) : []),
    ...(isObject(value) ? objectFaults(inner, schema, value, path) : []),
    ...combinedFaults(inner, schema, value, path),
  ];
}

function kindFaults({ type }, value, path) {
  const kinds = [].concat(type ?? []);
  if (!kinds.length || kinds.some((kind) => KINDS[kind]?.(value) ?? true)) return [];
  return [fault(path, `must be ${kinds.map((kind) => ARTICLE[kind] ?? kind).join(' or ')}, not ${describe(value)}`)];
}

function constantFaults(schema, value, path) {
  if (schema.const !== undefined && !isSame(schema.const, value)) return [fault(path, `must be ${JSON.stringify(schema.const)}`)];
  if (!schema.enum || schema.enum.some((item) => isSame(item, value))) return [];
  return [fault(path, `must be one of ${schema.enum.map((item) => JSON.stringify(item)).join(', ')}`)];
}

function numberFaults(schema, value, path) {
  const [low, high] = INTEGERS[schema.format] ?? [];
  const { minimum = low, maximum = high, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema;
  return [
    minimum !== undefined && value < minimum && `must be at least ${minimum}`,
    maximum !== undefined && value > maximum && `must be at most ${maximum}`,
    exclusiveMinimum !== undefined && value <= exclusiveMinimum && `must be more than ${exclusiveMinimum}`,
    exclusiveMaximum !== undefined && value >= exclusiveMaximum && `must be less than ${exclusiveMaximum}`,
    multipleOf !== undefined && !isMultiple(value, multipleOf) && `must be a multiple of ${multipleOf}`,
  ].filter(Boolean).map((message) => fault(path, message));
}

function stringFaults({ minLength, maxLength, pattern, format }, value, path) {
  // Unicode characters, not the UTF-16 units that `length` counts.
  const length = [...value].length;
  return [
    minLength !== undefined && length < minLength && `must have at least ${many(minLength, 'character')}, not ${length}`,
    maxLength !== undefined && length > maxLength && `must have at most ${many(maxLength, 'character')}, not ${length}`,
    pattern !== undefined && expression(pattern)?.test(value) === false && `must match ${pattern}`,
    FORMATS[format]?.test(value) === false && `must be a ${format}`,
  ].filter(Boolean).map((message) => fault(path, message));
}

function arrayFaults(context, schema, value, path) {
  const { items, additionalItems, contains, minItems, maxItems, uniqueItems } = schema;
  const isTuple = Array.isArray(items);
  const schemaOf = (i) => (isTuple ? (i < items.length ? items[i] : additionalItems) : items);
  return [
    minItems !== undefined && value.length < minItems && fault(path, `must have at least ${many(minItems, 'item')}, not ${value.length}`),
    maxItems !== undefined && value.length > maxItems && fault(path, `must have at most ${many(maxItems, 'item')}, not ${value.length}`),
    uniqueItems && value.some((item, i) => value.slice(0, i).some((before) => isSame(before, item))) && fault(path, 'must not have an item twice'),
    contains !== undefined && !value.some((item) => !check(context, contains, item, path).length) && fault(path, 'lacks an item that it must have'),
    ...value.flatMap((item, i) => (schemaOf(i) === undefined ? [] : check(context, schemaOf(i), item, pointer(path, i)))),
  ].filter(Boolean);
}

function objectFaults(context, schema, value, path) {
  const { properties = {}, patternProperties = {}, additionalProperties, propertyNames, required = [], dependencies = {} } = schema;
  const keys = Object.keys(value);
  const ofKey = (key) => {
    const known = Object.hasOwn(properties, key) ? [properties[key]] : [];
    known.push(...Object.entries(patternProperties).filter(([pattern]) => expression(pattern)?.test(key)).map(([, inner]) => inner));
    if (known.length || additionalProperties === undefined) return known.flatMap((inner) => check(context, inner, value[key], pointer(path, key)));
    if (additionalProperties === false) return [fault(pointer(path, key), 'is not a field here')];
    return check(context, additionalProperties, value[key], pointer(path, key));
  };
  const ofDependency = ([key, needs]) => {
    if (!Object.hasOwn(value, key)) return [];
    if (!Array.isArray(needs)) return check(context, needs, value, path);
    return needs.filter((need) => !Object.hasOwn(value, need)).map((need) => fault(pointer(path, need), `is required beside ${key}`));
  };
  return [
    ...required.filter((key) => !Object.hasOwn(value, key)).map((key) => fault(pointer(path, key), 'is required')),
    schema.minProperties > keys.length && fault(path, `must have at least ${many(schema.minProperties, 'field')}`),
    schema.maxProperties < keys.length && fault(path, `must have at most ${many(schema.maxProperties, 'field')}`),
    ...keys.flatMap(ofKey),
    ...(propertyNames === undefined ? [] : keys.flatMap((key) => check(context, propertyNames, key, pointer(path, key)))),
    ...Object.entries(dependencies).flatMap(ofDependency),
  ].filter(Boolean);
}

function combinedFaults(context, schema, value, path) {
  const isValid = (part) => !check(context, part, value, path).length;
  const { allOf = [], anyOf, oneOf, not } = schema;
  const branch = schema.if === undefined ? undefined : isValid(schema.if) ? schema.then : schema.else;
  const matches = oneOf?.filter(isValid).length;
  return [
    ...allOf.flatMap((part) => check(context, part, value, path)),
    ...(anyOf && !anyOf.some(isValid) ? nearestFaults(context, anyOf, value, path) : []),
    ...(matches === 0 ? nearestFaults(context, oneOf, value, path) : []),
    matches > 1 && fault(path, `must match exactly one variant, not ${matches}`),
    not !== undefined && isValid(not) && fault(path, 'is a value that is ruled out'),
    ...(branch === undefined ? [] : check(context, branch, value, path)),
  ].filter(Boolean);
}

/** Of variants that all refuse the value: the faults by the one that was meant, if that can be told. */
function nearestFaults(context, variants, value, path) {
  const all = variants
    .filter((variant) => context.resolve(variant).schema?.type !== 'null')
    .map((variant) => check(context, variant, value, path));
  if (all.length === 1) return all[0];
  // A variant that refuses the value itself, or a constant in it, was not meant.
  const isMeant = (faults) => !faults.some((one) => one.path === path || /^must be (one of )?["\d]/.test(one.message));
  const meant = all.filter(isMeant);
  if (meant.length === 1) return meant[0];
  const constants = all.flat().filter((one) => one.path !== path && /^must be "/.test(one.message));
  const [first] = constants;
  if (first && constants.every((one) => one.path === first.path)) {
    return [fault(first.path, `must be one of ${[...new Set(constants.map((one) => one.message.slice(8)))].join(', ')}`)];
  }
  const own = all.flat().filter((one) => one.path === path);
  const reasons = [...new Set(own.map((one) => one.message))];
  return [fault(path, reasons.length && own.length >= all.length ? reasons.join(', or ') : `fits none of the ${all.length} variants`)];
}

function isMultiple(value, of) {
  const quotient = value / of;
  // Decimal fractions are not exact in binary: 0.3 / 0.1 is not quite 3.
  return Math.abs(quotient - Math.round(quotient)) <= 1e-9 * Math.max(1, Math.abs(quotient));
}

/** A pattern as the page can apply it; nothing when this browser cannot read it. */
function expression(pattern) {
  for (const flags of ['u', '']) {
    try {
      return new RegExp(pattern, flags);
    } catch {
      // The server's dialect of patterns knows more than ours; it will check what we cannot.
    }
  }
  return undefined;
}

function fault(path, message) {
  return { path, message };
}

function describe(value) {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return { object: 'an object', string: 'a string', boolean: 'a boolean' }[typeof value] ?? String(value);
}

function many(count, unit) {
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}

function isObject(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

const MAX_DEPTH = 200;
const KINDS = {
  null: (value) => value === null,
  boolean: (value) => typeof value === 'boolean',
  integer: (value) => Number.isInteger(value),
  number: (value) => typeof value === 'number',
  string: (value) => typeof value === 'string',
  array: Array.isArray,
  object: isObject,
};
const ARTICLE = { boolean: 'a boolean', integer: 'an integer', number: 'a number', string: 'a string', array: 'an array', object: 'an object' };
/** What the integer types of the server can hold, where the schema does not say. */
const INTEGERS = {
  int8: [-128, 127],
  int16: [-32768, 32767],
  int32: [-2147483648, 2147483647],
  int64: [-(2 ** 63), 2 ** 63],
  uint8: [0, 255],
  uint16: [0, 65535],
  uint32: [0, 4294967295],
  uint64: [0, 2 ** 64],
  uint: [0, 2 ** 64],
};
const FORMATS = {
  'date-time': /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/,
  date: /^\d{4}-\d\d-\d\d$/,
  uuid: /^(urn:uuid:)?\{?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\}?$/i,
};
