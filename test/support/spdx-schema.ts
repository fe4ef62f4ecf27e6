/**
 * The part of SPDX 2.3 that sjs writes, as a JSON Schema: what is not named here may not be in a document. The published
 * schema demands no more and allows all of this; what that leaves to the words of the specification (forms of
 * identifiers, times, creators, the SHA-1 of every file) stands here as well.
 */
const closed = (properties: object, required: readonly string[]): object => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
});
const text = { type: 'string' };
const id = { type: 'string', pattern: '^SPDXRef-[A-Za-z0-9.-]+$' };
const list = (items: object, minItems = 0): object => ({ type: 'array', items, minItems });

const checksum = {
  oneOf: (
    [
      ['SHA1', 40],
      ['SHA256', 64],
      ['SHA384', 96],
      ['SHA512', 128],
    ] as const
  ).map(([algorithm, length]) =>
    closed(
      {
        algorithm: { const: algorithm },
        checksumValue: { type: 'string', pattern: `^[0-9a-f]{${length}}$` },
      },
      ['algorithm', 'checksumValue'],
    ),
  ),
};

const reference = (category: string, type: string, locator: string): object =>
  closed(
    {
      referenceCategory: { const: category },
      referenceType: { const: type },
      referenceLocator: { type: 'string', pattern: locator },
    },
    ['referenceCategory', 'referenceType', 'referenceLocator'],
  );

const license = { licenseConcluded: text, licenseDeclared: text, licenseComments: text, copyrightText: text };

const packages = {
  ...closed(
    {
      SPDXID: id,
      name: text,
      versionInfo: text,
      downloadLocation: text,
      filesAnalyzed: { type: 'boolean' },
      packageVerificationCode: closed(
        { packageVerificationCodeValue: { type: 'string', pattern: '^[0-9a-f]{40}$' } },
        ['packageVerificationCodeValue'],
      ),
      checksums: list(checksum, 1),
      externalRefs: list(
        {
          oneOf: [
            reference('PACKAGE-MANAGER', 'purl', '^pkg:[a-z]+/[!-~]+$'),
            reference('SECURITY', 'cpe23Type', '^cpe:2\\.3:[aho](:[!-~]+){10}$'),
          ],
        },
        1,
      ),
      primaryPackagePurpose: { enum: ['CONTAINER', 'OPERATING_SYSTEM'] },
      comment: text,
      sourceInfo: text,
      ...license,
    },
    ['SPDXID', 'name', 'downloadLocation', 'filesAnalyzed'],
  ),
  // 7.9: there is a verification code where the files were looked at, and only there.
  if: { properties: { filesAnalyzed: { const: true } } },
  then: { required: ['packageVerificationCode'] },
  else: { not: { required: ['packageVerificationCode'] } },
};

export const SPDX_SCHEMA = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  ...closed(
    {
      spdxVersion: { const: 'SPDX-2.3' },
      dataLicense: { const: 'CC0-1.0' },
      SPDXID: { const: 'SPDXRef-DOCUMENT' },
      name: text,
      documentNamespace: { type: 'string', pattern: '^https://[^#\\s]+$' },
      creationInfo: closed(
        {
          created: { type: 'string', pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$' },
          creators: list({ type: 'string', pattern: '^(Person|Organization|Tool): \\S' }, 1),
        },
        ['created', 'creators'],
      ),
      documentDescribes: list(id, 1),
      packages: list(packages, 1),
      files: list(
        closed(
          {
            SPDXID: id,
            fileName: { type: 'string', pattern: '^\\./' },
            checksums: {
              ...list(checksum, 1),
              contains: { properties: { algorithm: { const: 'SHA1' } } },
            },
            ...license,
          },
          ['SPDXID', 'fileName', 'checksums'],
        ),
      ),
      relationships: list(
        closed(
          {
            spdxElementId: id,
            relationshipType: { enum: ['DESCRIBES', 'CONTAINS'] },
            relatedSpdxElement: id,
          },
          ['spdxElementId', 'relationshipType', 'relatedSpdxElement'],
        ),
        1,
      ),
    },
    ['spdxVersion', 'dataLicense', 'SPDXID', 'name', 'documentNamespace', 'creationInfo'],
  ),
};
