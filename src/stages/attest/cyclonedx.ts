import { ComponentType, HashAlgorithm } from '@cyclonedx/cyclonedx-library/Enums';
import {
  Bom,
  Component,
  ComponentRepository,
  HashDictionary,
  LicenseExpression,
  LicenseRepository,
  Metadata,
  NamedLicense,
  Property,
  PropertyRepository,
  SpdxLicense,
  Tools,
  type License,
  type OptionalComponentProperties,
} from '@cyclonedx/cyclonedx-library/Models';
import { JSON as CycloneDxJson, JsonSerializer } from '@cyclonedx/cyclonedx-library/Serialize';
import { Spec1dot6 } from '@cyclonedx/cyclonedx-library/Spec';
import { canonicalJson } from '../../model/canonical-json.js';
import { hexOf } from '../../model/digest.js';
import type { ImageContents } from '../../model/image-contents.js';
import { kindOfLicence } from './licence.js';
import { formatNpmPurl, formatSystemPurl, hashOf, nodeCpe, nodePurl } from './packages.js';
import { uuidOf } from './uuid.js';

/** What the predicate is of, as in-toto and cosign name it. */
export const CYCLONEDX_TYPE = 'https://cyclonedx.org/bom';

/** A CycloneDX document, as JSON says it. */
export type CycloneDx = Readonly<Record<string, unknown>>;

/** What a bill of materials is written from. */
export type BillFacts = Omit<ImageContents, 'entry'> & {
  readonly entry: Pick<ImageContents['entry'], 'seal' | 'tag'>;
};

/**
 * The bill of materials of a sealed image in CycloneDX 1.6. It says what the seal covers and nothing else: the same seal
 * gives the same document wherever it was made.
 */
export function buildCycloneDx(facts: BillFacts): CycloneDx {
  const { entry, labels, system, npm, files } = facts;
  const parts = [
    ...describeBase(facts),
    ...system.packages.map((one) => {
      const purl = formatSystemPurl(one, system.distribution);
      const { name, version, licence } = one;
      return describe(ComponentType.Library, name, { bomRef: purl, purl, version, ...licences(licence) });
    }),
    ...npm.map((one) =>
      describe(ComponentType.Library, one.name, {
        bomRef: `npm:${one.location}`,
        purl: formatNpmPurl(one),
        version: one.version,
        ...hashes(hashOf(one.integrity)),
        ...licences(one.licence),
        ...properties({ 'sjs:location': `/app/${one.location}` }),
      }),
    ),
  ];
  const subject = describe(ComponentType.Container, labels.name, {
    bomRef: entry.seal,
    ...(labels.version !== null && { version: labels.version }),
    ...properties({ 'sjs:seal': entry.seal, 'sjs:tag': entry.tag }),
  });
  for (const part of parts) subject.dependencies.add(part.bomRef);
  const content = files.map(({ path, digest }) =>
    describe(ComponentType.File, path, {
      bomRef: `file:${path}`,
      ...hashes({ algorithm: 'sha256', hex: hexOf(digest) }),
    }),
  );
  const tool = describe(ComponentType.Application, 'sjs', { bomRef: 'sjs', version: facts.sjsVersion });
  const bom = new Bom({
    metadata: new Metadata({
      ...(facts.writtenAt !== null && { timestamp: new Date(facts.writtenAt) }),
      component: subject,
      tools: new Tools({ components: new ComponentRepository([tool]) }),
    }),
    components: new ComponentRepository([...parts, ...content]),
  });
  bom.serialNumber = `urn:uuid:${uuidOf(canonicalJson(toJson(bom)))}`;
  return toJson(bom);
}

function toJson(bom: Bom): CycloneDx {
  const serializer = new JsonSerializer(new CycloneDxJson.Normalize.Factory(Spec1dot6));
  return JSON.parse(serializer.serialize(bom, { sortLists: true })) as CycloneDx;
}

const describe = (type: ComponentType, name: string, more: OptionalComponentProperties): Component =>
  new Component(type, name, more);

function describeBase({ labels, system }: BillFacts): readonly Component[] {
  const { distribution, node } = system;
  return [
    describe(ComponentType.Container, 'base', {
      bomRef: labels.baseDigest,
      ...(labels.baseVersion !== null && { version: labels.baseVersion }),
      ...properties({ 'sjs:manifest': labels.baseDigest }),
    }),
    ...(distribution
      ? [
          describe(ComponentType.OperatingSystem, distribution.id, {
            bomRef: 'os',
            ...(distribution.version !== null && { version: distribution.version }),
          }),
        ]
      : []),
    ...(node
      ? [
          describe(ComponentType.Platform, 'node', {
            bomRef: nodePurl(node.version),
            purl: nodePurl(node.version),
            cpe: nodeCpe(node.version),
            version: node.version,
            ...hashes({ algorithm: 'sha256', hex: hexOf(node.digest) }),
            ...properties({ 'sjs:location': node.path }),
          }),
        ]
      : []),
  ];
}

const ALGORITHMS = {
  sha256: HashAlgorithm['SHA-256'],
  sha384: HashAlgorithm['SHA-384'],
  sha512: HashAlgorithm['SHA-512'],
} as const;

const hashes = (hash: ReturnType<typeof hashOf>): { readonly hashes?: HashDictionary } =>
  hash ? { hashes: new HashDictionary([[ALGORITHMS[hash.algorithm], hash.hex]]) } : {};

const properties = (
  values: Readonly<Record<string, string>>,
): { readonly properties: PropertyRepository } => ({
  properties: new PropertyRepository(
    Object.entries(values).map(([name, value]) => new Property(name, value)),
  ),
});

const licences = (text: string | null): { readonly licenses?: LicenseRepository } =>
  text === null ? {} : { licenses: new LicenseRepository([describeLicence(text)]) };

function describeLicence(text: string): License {
  switch (kindOfLicence(text)) {
    case 'id':
      return new SpdxLicense(text);
    case 'expression':
      return new LicenseExpression(text);
    case 'name':
      return new NamedLicense(text);
  }
}
