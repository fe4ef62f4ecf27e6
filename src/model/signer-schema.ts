import { ATTESTATION_TYPES } from './attestation-type.js';
import { list, mapping, text } from './schema-parts.js';

/** A list of attestations, by the names that cosign has for them. */
export const attestations = (description: string) =>
  list({ type: 'string', enum: ATTESTATION_TYPES }, description, { default: [] });

const repositoryPattern = '^[A-Za-z0-9._:/*\\[\\]-]{1,512}$';

/** Where signed images lie, and whose signature counts there. */
export const signerProperties = {
  repository: text(
    'a repository pattern',
    repositoryPattern,
    'Repository; * matches within one path component, ** any number of them.',
  ),
  mirrors: list(
    { type: 'string', pattern: repositoryPattern },
    'Where the same images may be fetched from.',
    { default: [] },
  ),
};

/** The keys under `verify`. */
export const verifySchema = mapping(
  {
    keys: {
      type: 'array',
      minItems: 1,
      maxItems: 64,
      description: 'cosign public keys; a signature by any of them counts.',
      items: mapping(
        {
          publicKey: text(
            'a PEM public key',
            '^-----BEGIN PUBLIC KEY-----\\n[A-Za-z0-9+/=\\n]{1,2048}-----END PUBLIC KEY-----\\s*$',
            'The key, as cosign writes it to .pub.',
          ),
          notBefore: text(
            'a date such as 2026-01-31T00:00:00Z',
            '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$',
            'It counts from then on.',
          ),
          notAfter: text(
            'a date such as 2026-01-31T00:00:00Z',
            '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$',
            'It counts until then.',
          ),
        },
        ['publicKey'],
      ),
    },
    keyless: mapping(
      {
        issuer: text(
          'an https URL',
          '^https://[!-~]{1,1024}$',
          'The OIDC issuer that the certificate names, exactly.',
        ),
        identity: text(
          'text without spaces',
          '^[!-~]{1,1024}$',
          'The subject of the certificate, exactly: a URI or an address.',
        ),
        identityPattern: text(
          'an expression from ^ to $',
          '^\\^[!-~]{1,1024}\\$$',
          'Instead of identity: an expression for the whole of it, literal up to the owner (https://host/owner/) or at the domain.',
        ),
        caRoots: text(
          'PEM certificates',
          '^-----BEGIN CERTIFICATE-----\\n[A-Za-z0-9+/=\\n -]{1,65536}-----END CERTIFICATE-----\\s*$',
          'Your own certificate authorities, instead of Sigstore’s; their certificates need be in no log.',
        ),
      },
      ['issuer'],
      'Instead of keys: who a certificate must name.',
    ),
    trustedRoot: text(
      'a Sigstore trusted root in JSON',
      '^\\s*\\{',
      'The text of a trusted root file: its authorities and logs count instead of public Sigstore’s. Needs transparencyLog: required.',
      { maxLength: 131_072 },
    ),
    attestations: attestations('Attestations that must be there too, by the same signer.'),
    annotations: {
      type: 'object',
      additionalProperties: { type: 'string', maxLength: 1024 },
      propertyNames: { pattern: '^[A-Za-z0-9._/-]{1,128}$' },
      maxProperties: 32,
      default: {},
      description: 'Annotations that must be signed, besides version and repository.',
    },
    transparencyLog: {
      type: 'string',
      enum: ['required', 'none'],
      default: 'required',
      description: 'Whether the signature must be in the transparency log; none only with keys, or caRoots.',
    },
  },
  [],
  'How a signature must verify: by keys, or keyless.',
);
