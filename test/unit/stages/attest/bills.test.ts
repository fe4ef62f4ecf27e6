import { describe, expect, test } from '@jest/globals';
import { Ajv } from 'ajv';
import { hexOf } from '../../../../src/model/digest.js';
import type { LaidPackage, SystemPackage } from '../../../../src/model/image-contents.js';
import { buildCycloneDx } from '../../../../src/stages/attest/cyclonedx.js';
import { kindOfLicence } from '../../../../src/stages/attest/licence.js';
import { hashOf } from '../../../../src/stages/attest/packages.js';
import { buildSpdx } from '../../../../src/stages/attest/spdx.js';
import { cycloneDxSchema } from '../../../support/cyclonedx-schema.js';
import { makeContents } from '../../../support/contents.js';
import { SPDX_SCHEMA } from '../../../support/spdx-schema.js';

interface Document {
  readonly [key: string]: unknown;
  readonly components: readonly Readonly<Record<string, unknown>>[];
  readonly packages: readonly Readonly<Record<string, unknown>>[];
}

const contents = makeContents();
const cycloneDx = buildCycloneDx(contents) as Document;
const spdx = buildSpdx(contents) as Document;
const shuffled = makeContents({ entry: { ...contents.entry, createdAt: '2030-01-01T00:00:00.000Z' } });

describe('CycloneDX', () => {
  test('is valid under its published schema, which refuses what is not', () => {
    const validate = cycloneDxSchema();
    validate(cycloneDx);
    expect(validate.errors).toBeNull();
    expect(validate({ ...cycloneDx, serialNumber: 'urn:uuid:none' })).toBe(false);
    expect(validate({ ...cycloneDx, components: [{ name: 'x' }] })).toBe(false);
  });

  test('names the seal, the base, its packages, Node, packages from npm and files', () => {
    expect(cycloneDx).toMatchObject({ bomFormat: 'CycloneDX', specVersion: '1.6' });
    expect(cycloneDx['metadata']).toMatchObject({
      component: {
        type: 'container',
        name: 'job',
        'bom-ref': contents.entry.seal,
        properties: expect.arrayContaining([{ name: 'sjs:seal', value: contents.entry.seal }]),
      },
    });
    expect(cycloneDx.components).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ type: 'operating-system', name: 'debian', version: '13' }),
        expect.objectContaining({ purl: 'pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=debian-13' }),
        expect.objectContaining({ name: 'node', purl: 'pkg:generic/node@24.21.0' }),
        expect.objectContaining({
          purl: 'pkg:npm/%40scope/one@1.0.0',
          hashes: [{ alg: 'SHA-512', content: '61'.repeat(64) }],
          licenses: [{ license: { id: 'MIT' } }],
        }),
        expect.objectContaining({ name: 'two', licenses: [{ expression: '(MIT OR Apache-2.0)' }] }),
        expect.objectContaining({
          licenses: [{ license: { name: 'SEE LICENSE IN LICENSE' } }],
          properties: [
            { name: 'sjs:bundledIn', value: '/app/node_modules/two' },
            { name: 'sjs:location', value: '/app/node_modules/two/node_modules/three' },
          ],
        }),
        expect.objectContaining({
          type: 'file',
          name: '/app/lib/a b.js',
          hashes: [{ alg: 'SHA-256', content: hexOf(contents.files[1]?.digest ?? 'sha256:') }],
        }),
      ]),
    );
  });
});

describe('SPDX', () => {
  test('has only what SPDX 2.3 has, in its form', () => {
    const validate = new Ajv({ allErrors: true, strict: false }).compile(SPDX_SCHEMA);
    validate(spdx);
    expect(validate.errors).toBeNull();
    const [first, ...others] = spdx.packages;
    expect(validate({ ...spdx, packages: [{ ...first, primaryPackagePurpose: 'x' }, ...others] })).toBe(
      false,
    );
    expect(validate({ ...spdx, files: [{ SPDXID: 'SPDXRef-x', fileName: './x', checksums: [] }] })).toBe(
      false,
    );
    expect(validate({ ...spdx, more: 1 })).toBe(false);
  });

  test('names the same', () => {
    expect(spdx).toMatchObject({ spdxVersion: 'SPDX-2.3', documentDescribes: ['SPDXRef-Image'] });
    expect(spdx.packages).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ SPDXID: 'SPDXRef-Image', comment: `seal ${contents.entry.seal}` }),
        expect.objectContaining({ name: 'libstdc++6', versionInfo: '14.2.0-19+b1' }),
        expect.objectContaining({
          name: '@scope/one',
          licenseDeclared: 'MIT',
          checksums: [{ algorithm: 'SHA512', checksumValue: '61'.repeat(64) }],
        }),
        expect.objectContaining({
          name: 'three',
          licenseDeclared: 'NOASSERTION',
          licenseComments: 'declared as SEE LICENSE IN LICENSE',
          sourceInfo: 'bundled in /app/node_modules/two',
        }),
      ]),
    );
    const names = ({ components, packages }: Partial<Document>): unknown[] =>
      [...(components ?? []), ...(packages ?? [])].map(({ name }) => name);
    const [, ...parts] = names({ packages: spdx.packages }).filter((name) => name !== 'source');
    expect(parts.sort()).toEqual(
      names({ components: cycloneDx.components.filter(({ type }) => type !== 'file') }).sort(),
    );
  });

  test('every relationship joins elements that are there, and no element has the name of another', () => {
    const { packages, files, relationships } = spdx as unknown as Record<string, Record<string, string>[]>;
    const ids = ['SPDXRef-DOCUMENT', ...[...packages!, ...files!].map(({ SPDXID }) => SPDXID)];
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^SPDXRef-[A-Za-z0-9.-]+$/);
    const joined = relationships!.flatMap(({ spdxElementId, relatedSpdxElement }) => [
      spdxElementId,
      relatedSpdxElement,
    ]);
    expect(new Set(joined)).toEqual(new Set(ids));
  });
});

describe.each([
  ['CycloneDX', buildCycloneDx, 'serialNumber'],
  ['SPDX', buildSpdx, 'documentNamespace'],
] as const)('%s', (_name, build, id) => {
  test('is the same for the same seal, and has another name for another content', () => {
    expect(JSON.stringify(build(shuffled))).toBe(JSON.stringify(build(contents)));
    const other = build({ ...contents, files: contents.files.slice(1) });
    expect(other[id]).not.toBe(build(contents)[id]);
  });

  test('says when it was written only when it is told to', () => {
    const at = '2026-05-06T07:08:09.000Z';
    expect(JSON.stringify(build({ ...contents, writtenAt: at }))).toContain('2026-05-06T07:08:09');
    expect(JSON.stringify(build(contents))).not.toContain('2026');
  });

  test('takes whatever a base or a package says of itself', () => {
    const odd = 'x"\u202e/../@?#%20 $(id)';
    const system: SystemPackage = {
      manager: 'apk',
      name: odd,
      version: odd,
      architecture: odd,
      licence: odd,
    };
    const bundled = { in: odd, isLocked: false };
    const npm: LaidPackage = {
      location: odd,
      name: odd,
      version: odd,
      integrity: odd,
      licence: odd,
      bundled,
    };
    const document = build({
      ...contents,
      packages: [npm],
      system: { distribution: { id: odd, version: odd }, packages: [system], nodes: [] },
    });
    expect(JSON.stringify(document)).toContain(JSON.stringify(odd).slice(1, -1));
    const validate =
      'spdxVersion' in document ? new Ajv({ strict: false }).compile(SPDX_SCHEMA) : cycloneDxSchema();
    validate(document);
    expect(validate.errors).toBeNull();
  });
});

test.each<[string, ReturnType<typeof kindOfLicence>]>([
  ['MIT', 'id'],
  ['MIT OR Apache-2.0', 'expression'],
  ['(GPL-2.0-only WITH Classpath-exception-2.0 AND LicenseRef-x)', 'expression'],
  ['MIT OR', 'name'],
  ['(MIT', 'name'],
  ['MIT)', 'name'],
  ['OR MIT', 'name'],
  ['MIT Apache-2.0', 'name'],
  ['()', 'name'],
  ['', 'name'],
])('the licence %j is written as %s', (text, kind) => expect(kindOfLicence(text)).toBe(kind));

test.each([
  ['sha512-YWJj', { algorithm: 'sha512', hex: '616263' }],
  ['sha1-YWJj sha256-ZGVm?x', null],
  ['sha256-ZGVm sha512-YWJj', { algorithm: 'sha512', hex: '616263' }],
  ['sha1-YWJj', null],
  [null, null],
])('the strongest hash of %j', (integrity, expected) => expect(hashOf(integrity)).toEqual(expected));
