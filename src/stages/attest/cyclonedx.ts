import { Enums, Models, Serialize, Spec } from '@cyclonedx/cyclonedx-library';
import { canonicalJson } from '../../model/canonical-json.js';
import { hexOf } from '../../model/digest.js';
import type { ImageContents } from '../../model/image-contents.js';
import { kindOfLicence } from './licence.js';
import { ecosystemOf, formatPurl, formatSystemPurl, hashOf, runtimeCpe, runtimePurl } from './packages.js';
import { UNLOCKED } from './unlocked.js';
import { uuidOf } from './uuid.js';

const BUNDLED_IN = 'sjs:bundledIn';
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
  const { entry, labels, system, packages, files } = facts;
  const parts = [
    ...describeBase(facts),
    ...system.packages.map((one) => {
      const purl = formatSystemPurl(one, system.distribution);
      const { name, version, licence } = one;
      return describe(Enums.ComponentType.Library, name, {
        bomRef: purl,
        purl,
        version,
        ...licences(licence),
      });
    }),
    ...packages.map((one) =>
      describe(Enums.ComponentType.Library, one.name, {
        bomRef: `${ecosystemOf(one)}:${one.location}`,
        purl: formatPurl(one),
        version: one.version,
        ...hashes(hashOf(one.integrity)),
        ...licences(one.licence),
        ...properties({
          'sjs:location': `/app/${one.location}`,
          ...(one.bundled && { [BUNDLED_IN]: `/app/${one.bundled.in}` }),
          ...(one.bundled?.isLocked === false && { [UNLOCKED.name]: UNLOCKED.value }),
        }),
      }),
    ),
  ];
  const subject = describe(Enums.ComponentType.Container, labels.name, {
    bomRef: entry.seal,
    ...(labels.version !== null && { version: labels.version }),
    ...properties({ 'sjs:seal': entry.seal, 'sjs:tag': entry.tag }),
  });
  for (const part of parts) subject.dependencies.add(part.bomRef);
  const content = files.map(({ path, digest }) =>
    describe(Enums.ComponentType.File, path, {
      bomRef: `file:${path}`,
      ...hashes({ algorithm: 'sha256', hex: hexOf(digest) }),
    }),
  );
  const tool = describe(Enums.ComponentType.Application, 'sjs', { bomRef: 'sjs', version: facts.sjsVersion });
  const bom = new Models.Bom({
    metadata: new Models.Metadata({
      ...(facts.writtenAt !== null && { timestamp: new Date(facts.writtenAt) }),
      component: subject,
      tools: new Models.Tools({ components: new Models.ComponentRepository([tool]) }),
    }),
    components: new Models.ComponentRepository([...parts, ...content]),
  });
  bom.serialNumber = `urn:uuid:${uuidOf(canonicalJson(toJson(bom)))}`;
  return toJson(bom);
}

function toJson(bom: Models.Bom): CycloneDx {
  const serializer = new Serialize.JsonSerializer(new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6));
  return JSON.parse(serializer.serialize(bom, { sortLists: true })) as CycloneDx;
}

const describe = (
  type: Enums.ComponentType,
  name: string,
  more: Models.OptionalComponentProperties,
): Models.Component => new Models.Component(type, name, more);

function describeBase({ labels, system }: BillFacts): readonly Models.Component[] {
  const { distribution, nodes } = system;
  return [
    describe(Enums.ComponentType.Container, 'base', {
      bomRef: labels.baseDigest,
      ...(labels.baseVersion !== null && { version: labels.baseVersion }),
      ...properties({ 'sjs:manifest': labels.baseDigest }),
    }),
    ...(distribution
      ? [
          describe(Enums.ComponentType.OperatingSystem, distribution.id, {
            bomRef: 'os',
            ...(distribution.version !== null && { version: distribution.version }),
          }),
        ]
      : []),
    ...nodes.map((runtime) =>
      describe(Enums.ComponentType.Platform, runtime.name ?? 'node', {
        bomRef: `${runtime.name ?? 'node'}:${runtime.path}`,
        purl: runtimePurl(runtime),
        cpe: runtimeCpe(runtime),
        version: runtime.version,
        ...hashes({ algorithm: 'sha256', hex: hexOf(runtime.digest) }),
        ...properties({ 'sjs:location': runtime.path }),
      }),
    ),
  ];
}

const ALGORITHMS = {
  sha256: 'SHA-256',
  sha384: 'SHA-384',
  sha512: 'SHA-512',
} as const;

const hashes = (hash: ReturnType<typeof hashOf>): { readonly hashes?: Models.HashDictionary } =>
  hash
    ? { hashes: new Models.HashDictionary([[Enums.HashAlgorithm[ALGORITHMS[hash.algorithm]], hash.hex]]) }
    : {};

const properties = (
  values: Readonly<Record<string, string>>,
): { readonly properties: Models.PropertyRepository } => ({
  properties: new Models.PropertyRepository(
    Object.entries(values).map(([name, value]) => new Models.Property(name, value)),
  ),
});

const licences = (text: string | null): { readonly licenses?: Models.LicenseRepository } =>
  text === null ? {} : { licenses: new Models.LicenseRepository([describeLicence(text)]) };

function describeLicence(text: string): Models.License {
  switch (kindOfLicence(text)) {
    case 'id':
      return new Models.SpdxLicense(text);
    case 'expression':
      return new Models.LicenseExpression(text);
    case 'name':
      return new Models.NamedLicense(text);
  }
}
