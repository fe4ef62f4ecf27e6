/** Attestations that a policy can ask for, by cosign's names (`cosign verify-attestation --type`). */
export const ATTESTATION_TYPES = ['slsaprovenance1', 'cyclonedx', 'spdxjson'] as const;

/** One of them. */
export type AttestationType = (typeof ATTESTATION_TYPES)[number];

/** The predicate type of each, as in-toto statements name it. */
export const PREDICATE_TYPES: Readonly<Record<AttestationType, string>> = {
  slsaprovenance1: 'https://slsa.dev/provenance/v1',
  cyclonedx: 'https://cyclonedx.org/bom',
  spdxjson: 'https://spdx.dev/Document',
};
