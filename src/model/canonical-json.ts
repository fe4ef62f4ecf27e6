import canonicalize from 'canonicalize';

// The package is CommonJS; under NodeNext its types show the module object instead of the function.
const serialize = canonicalize as unknown as (value: unknown) => string | undefined;

/** The canonical JSON text of a JSON value (RFC 8785): equal values give equal bytes. */
export function canonicalJson(value: unknown): string {
  const text = serialize(value);
  if (text === undefined) throw new TypeError('not a JSON value');
  return text;
}
