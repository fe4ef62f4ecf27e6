import { createHash } from 'node:crypto';
import { canonicalJson } from '../../model/canonical-json.js';
import { hexOf, sha256, shortDigest } from '../../model/digest.js';
import type { ContentFile } from '../../model/image-contents.js';
import type { BillFacts } from './cyclonedx.js';
import { kindOfLicence } from './licence.js';
import { ecosystemOf, formatPurl, formatSystemPurl, hashOf, runtimeCpe, runtimePurl } from './packages.js';
import { UNLOCKED_END } from './unlocked.js';
import { uuidOf } from './uuid.js';

/** An SPDX document, as JSON says it. */
export type Spdx = Readonly<Record<string, unknown>>;

/** An SPDX package or file. */
interface Element extends Readonly<Record<string, unknown>> {
  readonly SPDXID: string;
}

const NONE = 'NOASSERTION';
const IMAGE = 'SPDXRef-Image';
const SOURCE = 'SPDXRef-Source';

/**
 * The bill of materials of a sealed image in SPDX 2.3. It says what the seal covers and nothing else: the same seal gives
 * the same document wherever it was made.
 */
export function buildSpdx(facts: BillFacts): Spdx {
  const { entry, labels, files } = facts;
  const parts = [...describeBase(facts), ...describeSystem(facts), ...describeLaid(facts)];
  const content = files.map(describeFile);
  const source = {
    name: 'source',
    SPDXID: SOURCE,
    downloadLocation: NONE,
    filesAnalyzed: true,
    packageVerificationCode: { packageVerificationCodeValue: verificationCode(files) },
    licenseConcluded: NONE,
    licenseDeclared: NONE,
    copyrightText: NONE,
  };
  const document = {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: entry.tag,
    creationInfo: {
      created: `${new Date(facts.writtenAt ?? 0).toISOString().slice(0, 19)}Z`,
      creators: [`Tool: sjs-${facts.sjsVersion}`],
    },
    documentDescribes: [IMAGE],
    packages: [
      describe('Image', labels.name, {
        version: labels.version,
        primaryPackagePurpose: 'CONTAINER',
        comment: `seal ${entry.seal}`,
      }),
      ...parts,
      ...(files.length > 0 ? [source] : []),
    ],
    files: content,
    relationships: [
      relate('SPDXRef-DOCUMENT', 'DESCRIBES', IMAGE),
      ...parts.map(({ SPDXID }) => relate(IMAGE, 'CONTAINS', SPDXID)),
      ...(files.length > 0 ? [relate(IMAGE, 'CONTAINS', SOURCE)] : []),
      ...content.map(({ SPDXID }) => relate(SOURCE, 'CONTAINS', SPDXID)),
    ],
  };
  const uuid = uuidOf(canonicalJson(document));
  return { ...document, documentNamespace: `https://sjs.dev/spdx/${labels.name}-${uuid}` };
}

const relate = (spdxElementId: string, relationshipType: string, relatedSpdxElement: string): object => ({
  spdxElementId,
  relationshipType,
  relatedSpdxElement,
});

/** The end of an identifier that the key alone decides, with what can be read of it in front. */
const partId = (kind: string, key: string): string =>
  `${kind}-${key.replace(/[^A-Za-z0-9.]+/g, '-').slice(0, 80)}-${shortDigest(sha256(key))}`;

interface Part {
  readonly version?: string | null;
  readonly licence?: string | null;
  readonly purl?: string;
  readonly cpe?: string;
  readonly hash?: ReturnType<typeof hashOf>;
  readonly primaryPackagePurpose?: string;
  readonly comment?: string;
  readonly sourceInfo?: string;
}

function describe(id: string, name: string, part: Part): Element {
  const { version = null, licence = null, purl, cpe, hash = null, ...rest } = part;
  const declared = licence !== null && kindOfLicence(licence) !== 'name' ? licence : NONE;
  const references = [
    ...(purl === undefined ? [] : [refer('PACKAGE-MANAGER', 'purl', purl)]),
    ...(cpe === undefined ? [] : [refer('SECURITY', 'cpe23Type', cpe)]),
  ];
  return {
    name,
    SPDXID: `SPDXRef-${id}`,
    ...(version !== null && { versionInfo: version }),
    downloadLocation: NONE,
    filesAnalyzed: false,
    ...(hash && { checksums: [checksum(hash.algorithm, hash.hex)] }),
    licenseConcluded: NONE,
    licenseDeclared: declared,
    ...(licence !== null && declared === NONE && { licenseComments: `declared as ${licence}` }),
    copyrightText: NONE,
    ...(references.length > 0 && { externalRefs: references }),
    ...rest,
  };
}

const refer = (referenceCategory: string, referenceType: string, referenceLocator: string): object => ({
  referenceCategory,
  referenceType,
  referenceLocator,
});

const checksum = (algorithm: string, checksumValue: string): object => ({
  algorithm: algorithm.toUpperCase(),
  checksumValue,
});

function describeBase({ labels, system: { distribution, nodes } }: BillFacts): readonly Element[] {
  return [
    describe('Base', 'base', {
      version: labels.baseVersion,
      primaryPackagePurpose: 'CONTAINER',
      comment: `manifest ${labels.baseDigest}`,
    }),
    ...(distribution
      ? [
          describe('OperatingSystem', distribution.id, {
            version: distribution.version,
            primaryPackagePurpose: 'OPERATING_SYSTEM',
          }),
        ]
      : []),
    ...nodes.map((runtime) =>
      describe(partId(runtime.name ?? 'Node', runtime.path), runtime.name ?? 'node', {
        version: runtime.version,
        purl: runtimePurl(runtime),
        cpe: runtimeCpe(runtime),
        hash: { algorithm: 'sha256', hex: hexOf(runtime.digest) },
        comment: `at ${runtime.path}`,
      }),
    ),
  ];
}

const describeSystem = ({ system }: BillFacts): readonly Element[] =>
  system.packages.map((one) => {
    const purl = formatSystemPurl(one, system.distribution);
    const { manager, name, version, licence } = one;
    return describe(partId(manager, purl), name, { version, licence, purl });
  });

const describeLaid = ({ packages }: BillFacts): readonly Element[] =>
  packages.map((one) =>
    describe(partId(ecosystemOf(one), one.location), one.name, {
      version: one.version,
      licence: one.licence,
      purl: formatPurl(one),
      hash: hashOf(one.integrity),
      comment: `at /app/${one.location}`,
      ...(one.bundled && {
        sourceInfo: `bundled in /app/${one.bundled.in}${one.bundled.isLocked ? '' : UNLOCKED_END}`,
      }),
    }),
  );

const describeFile = ({ path, digest, sha1 }: ContentFile): Element => ({
  fileName: `.${path}`,
  SPDXID: `SPDXRef-${partId('File', path)}`,
  checksums: [checksum('sha1', sha1), checksum('sha256', hexOf(digest))],
  licenseConcluded: NONE,
  copyrightText: NONE,
});

/** SPDX 2.3, 7.9: the SHA-1 of the files' SHA-1s, sorted. */
const verificationCode = (files: readonly ContentFile[]): string =>
  createHash('sha1')
    .update(
      files
        .map(({ sha1 }) => sha1)
        .sort()
        .join(''),
    )
    .digest('hex');
