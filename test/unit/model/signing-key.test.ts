import { expect, test } from '@jest/globals';
import { formatSigningKey, parseSigningKey } from '../../../src/model/signing-key.js';

test.each([
  [undefined, 'keyless'],
  ['cosign.key', 'file'],
  ['/keys/a b.key', 'file'],
  ['awskms:///alias/a', 'service'],
  ['gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k/versions/1', 'service'],
  ['azurekms://vault.example.com/k', 'service'],
  ['hashivault://k', 'service'],
  ['pkcs11:token=t;object=k?module-path=/usr/lib/p.so', 'pkcs11'],
])('%s is of the kind %s', (text, kind) => {
  const key = parseSigningKey(text);
  expect(key.kind).toBe(kind);
  if (text !== undefined) expect(formatSigningKey(key)).toBe(text);
});

test.each([
  ...[
    '',
    'https://keys.example.com/a.key',
    'env://KEY',
    'k8s://namespace/secret',
    'gitlab://1',
    'github://o/r',
  ],
  ...[
    'hashivault://',
    'hashivault://a b',
    'hashivault://a\u202eb',
    'pkcs11: x',
    `awskms://${'a'.repeat(2000)}`,
  ],
])('%p is no key', (text) => {
  expect(() => parseSigningKey(text)).toThrow(expect.objectContaining({ code: 'USAGE' }));
});
