import { describe, expect, test } from '@jest/globals';
import { sha256 } from '../../../../src/model/digest.js';
import type { LaidPackage } from '../../../../src/model/image-contents.js';
import { digestOfPackages } from '../../../../src/model/package-list.js';
import type { Predicate } from '../../../../src/model/predicate.js';
import { checkBills, type BillSubject } from '../../../../src/stages/attest/check-bill.js';
import { buildCycloneDx } from '../../../../src/stages/attest/cyclonedx.js';
import { buildSpdx } from '../../../../src/stages/attest/spdx.js';
import { makeContents } from '../../../support/contents.js';

const laid = makeContents();
const vendored = {
  location: 'vendor/node_modules/odd',
  name: 'odd',
  version: '',
  integrity: null,
  licence: null,
  bundled: null,
};
/** In the tarball of a package, and not in the lockfile. */
const unlocked = {
  location: 'node_modules/two/node_modules/four',
  name: 'four',
  version: '4.0.0',
  integrity: null,
  licence: null,
  bundled: { in: 'node_modules/two', isLocked: false },
};
const contents = { ...laid, packages: [...laid.packages, vendored, unlocked] };
const packages = laid.packages.map((one) => ({
  ...one,
  bundledIn: one.bundled?.in ?? null,
}));
const labels = { ...laid.labels, packages: digestOfPackages(packages) };
const subject: BillSubject = { name: 'sjs/job:1', seal: contents.entry.seal, labels };
const refusal = expect.objectContaining({ code: 'SBOM_MISMATCH' });

describe.each([
  ['cyclonedx', buildCycloneDx, 'components'],
  ['spdxjson', buildSpdx, 'packages'],
] as const)('a bill of materials in %s', (type, build, list) => {
  const check = (predicate: Predicate, of = subject) =>
    checkBills(new Map([[type, [predicate]]] as const), of);
  const bill = build(contents);
  const parts = bill[list] as readonly Record<string, unknown>[];
  const edit = (change: (part: Record<string, unknown>) => readonly object[]): Predicate => ({
    ...bill,
    [list]: parts.flatMap((part) => (part['name'] === 'two' ? change(part) : [part])),
  });

  test('as sjs writes it is of this image', () => {
    expect(check(bill)).toEqual([]);
    const without = { ...laid, packages: [] };
    const none = { ...subject, labels: { ...labels, packages: null } };
    expect(check(build(without), none)).toEqual([]);
  });

  test.each([
    ['a package less', edit(() => [])],
    ['another version', edit((part) => [{ ...part, version: '9.0.0', versionInfo: '9.0.0' }])],
    ['another name', edit((part) => [{ ...part, name: 'twin' }])],
    ['no hash', edit((part) => [{ ...part, hashes: [], checksums: [] }])],
    [
      'another hash',
      edit((part) => [
        {
          ...part,
          hashes: [{ alg: 'SHA-512', content: '00'.repeat(64) }],
          checksums: [{ algorithm: 'SHA512', checksumValue: '00'.repeat(64) }],
        },
      ]),
    ],
    ['a package twice', edit((part) => [part, part])],
    ['no place', edit((part) => [{ ...part, properties: [], comment: '' }])],
  ])('with %s is refused', (_what, predicate) => {
    expect(() => check(predicate)).toThrow(refusal);
  });

  test('that hides one of the lockfile among those that are in none, or gives one of these a hash, is refused', () => {
    const change = (name: string, changes: Partial<LaidPackage>): Predicate =>
      build({
        ...contents,
        packages: contents.packages.map((one) => (one.name === name ? { ...one, ...changes } : one)),
      });
    expect(check(change('four', {}))).toEqual([]);
    expect(check(change('four', { version: '9.0.0' }))).toEqual([]);
    const integrity = laid.packages[0]?.integrity ?? null;
    for (const [name, changes] of [
      ['three', { bundled: unlocked.bundled }],
      ['four', { bundled: { ...unlocked.bundled, isLocked: true } }],
      ['four', { integrity }],
    ] as const)
      expect(() => check(change(name, changes))).toThrow(refusal);
  });

  test('of another seal, another base, or where nothing was laid in, is refused', () => {
    const others = [
      { ...subject, seal: sha256('another') },
      { ...subject, labels: { ...labels, baseDigest: sha256('another') } },
      { ...subject, labels: { ...labels, packages: null } },
    ];
    for (const other of others) expect(() => check(bill, other)).toThrow(refusal);
  });

  test('by another tool is not compared, and said', () => {
    expect(check({ [list]: [{ name: 'two', purl: 'pkg:npm/two@1.0.0' }, null, 7] })).toEqual([type]);
  });
});

test('a bill of materials in CycloneDX has no parts within parts: nothing there would be compared', () => {
  const bill = buildCycloneDx(contents);
  const hidden = { components: [{ type: 'library', name: 'evil', version: '1', purl: 'pkg:npm/evil@1' }] };
  const [first, ...others] = bill['components'] as readonly object[];
  const metadata = bill['metadata'] as { readonly component: object };
  const nested = [
    { ...bill, components: [{ ...first, ...hidden }, ...others] },
    { ...bill, metadata: { ...metadata, component: { ...metadata.component, ...hidden } } },
  ];
  for (const one of nested)
    expect(() => checkBills(new Map([['cyclonedx', [one]]] as const), subject)).toThrow(refusal);
});
