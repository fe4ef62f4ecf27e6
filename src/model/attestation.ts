/** What is attested of a sealed image, by the word that cosign has for it. */
export const ATTESTATION_TYPES = ['slsaprovenance1', 'cyclonedx', 'spdxjson'] as const;

/** One of the words of `cosign verify-attestation --type`. */
export type AttestationType = (typeof ATTESTATION_TYPES)[number];

/** The predicate type that each word stands for, in in-toto statements. */
export const PREDICATE_TYPES: Readonly<Record<AttestationType, string>> = {
  slsaprovenance1: 'https://slsa.dev/provenance/v1',
  cyclonedx: 'https://cyclonedx.org/bom',
  spdxjson: 'https://spdx.dev/Document',
};

/** A predicate: any JSON object. */
export type Predicate = Readonly<Record<string, unknown>>;
