import { SjsError } from '../../errors.js';
import type { AttestationType } from '../../model/attestation-type.js';
import type { Digest } from '../../model/digest.js';
import { fieldsOf, listOf, textOf, type Fields } from '../../model/fields.js';
import { digestOfPackages, parentOf, type ResolvedPackage } from '../../model/package-list.js';
import type { Predicate } from '../../model/predicate.js';
import type { SealedLabels } from '../../model/sealed-image.js';
import { formatPurl } from './packages.js';
import { UNLOCKED, UNLOCKED_END } from './unlocked.js';

/** What a bill of materials must be of. */
export interface BillSubject {
  readonly name: string;
  readonly seal: Digest;
  /** The seal covers them. */
  readonly labels: Pick<SealedLabels, 'baseDigest' | 'packages'>;
}

/** What is compared of a bill, whatever its format. */
interface Bill {
  /** Null where sjs did not write it. */
  readonly seal: string | null;
  readonly base: string | null;
  readonly laid: readonly NamedPackage[];
  /** Whether parts lie within parts, which `laid` leaves out: sjs writes a flat list. */
  readonly isNested: boolean;
}

/** A package from npm or of Python as a bill names it. */
interface NamedPackage {
  /** Absolute, in the image. */
  readonly place: string | null;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  /** Subresource integrity; null where the bill has no hash. */
  readonly integrity: string | null;
  /** Whether it came in a tarball unknown to the lockfile: the list that the seal covers does not have it. */
  readonly isUnlocked: boolean;
}

/**
 * Compares attested bills of materials with what is sealed: those that sjs wrote must be of this seal and base, and name
 * the packages that the seal covers, each at its place with version, package URL and hash, and no other with a hash.
 * Of packages that lay in the source or came in a tarball unknown to the lockfile, and of those of the base, the seal has
 * no list: they stand in the signer's word.
 * @returns the types of which there is a bill that another tool wrote: nothing of it is compared
 * @throws SjsError `SBOM_MISMATCH`.
 */
export function checkBills(
  statements: ReadonlyMap<AttestationType, readonly Predicate[]>,
  subject: BillSubject,
): readonly AttestationType[] {
  const readers = [
    ['cyclonedx', readCycloneDx],
    ['spdxjson', readSpdx],
  ] as const;
  return readers.flatMap(([type, read]) => {
    const bills = (statements.get(type) ?? []).map(read);
    for (const bill of bills) if (bill.seal !== null) checkBill(bill, subject);
    return bills.some(({ seal }) => seal === null) ? [type] : [];
  });
}

function checkBill({ seal, base, laid, isNested }: Bill, { name, seal: own, labels }: BillSubject): void {
  const refuse = (why: string): SjsError =>
    new SjsError('SBOM_MISMATCH', `the bill of materials of ${name} ${why}`, {
      next: 'ask who signed it, and believe no scan of it: sjs sbom says what is in the image',
    });
  if (seal !== own) throw refuse(`is of the seal ${seal}`);
  if (base !== labels.baseDigest) throw refuse(`names another base than ${labels.baseDigest}`);
  const places = new Set(laid.map(({ place }) => place));
  const isOdd = (one: NamedPackage): boolean =>
    !one.place?.startsWith('/app/') || one.purl !== purlOf(one) || (one.isUnlocked && one.integrity !== null);
  if (isNested || laid.some(isOdd) || places.size < laid.length)
    throw refuse('names packages as sjs never does');
  const listed = laidPackages(laid.filter(({ isUnlocked }) => !isUnlocked));
  if (digestOfPackages(listed) !== (labels.packages ?? digestOfPackages([]))) {
    throw refuse('names other packages than are in it');
  }
}

/** Null for a name that no package URL can have. */
function purlOf(one: NamedPackage): string | null {
  try {
    return formatPurl({ ...one, location: (one.place ?? '').slice('/app/'.length) });
  } catch {
    return null;
  }
}

/** Those with a tarball of their own, and those that came in the tarball of one. */
function laidPackages(laid: readonly NamedPackage[]): readonly ResolvedPackage[] {
  const named = new Map(
    laid.map(({ place, ...one }) => {
      const location = (place ?? '').slice('/app/'.length);
      return [location, { ...one, location }] as const;
    }),
  );
  const bundlerOf = (location: string): string | null => {
    const parent = parentOf(location);
    return parent === null || (named.get(parent)?.integrity ?? null) !== null ? parent : bundlerOf(parent);
  };
  return [...named.values()].flatMap((one): readonly ResolvedPackage[] => {
    const bundledIn = one.integrity === null ? bundlerOf(one.location) : null;
    return one.integrity === null && bundledIn === null ? [] : [{ ...one, bundledIn }];
  });
}

function readCycloneDx(predicate: Predicate): Bill {
  const components = listOf(predicate['components']);
  const subject = fieldsOf(fieldsOf(predicate['metadata'])['component']);
  const base = components.find(({ name, type }) => name === 'base' && type === 'container');
  return {
    seal: propertyOf(subject, 'sjs:seal'),
    base: base ? propertyOf(base, 'sjs:manifest') : null,
    isNested: [subject, ...components].some((one) => one['components'] !== undefined),
    laid: components.flatMap((one) =>
      isLaid(one['purl'])
        ? [
            {
              place: propertyOf(one, 'sjs:location'),
              name: textOf(one['name']),
              version: textOf(one['version']),
              purl: textOf(one['purl']),
              integrity: integrityOf(one['hashes'], 'alg', 'content'),
              isUnlocked: propertyOf(one, UNLOCKED.name) === UNLOCKED.value,
            },
          ]
        : [],
    ),
  };
}

function readSpdx(predicate: Predicate): Bill {
  const packages = listOf(predicate['packages']);
  const saidBy = (id: string, word: string): string | null =>
    afterWord(packages.find(({ SPDXID }) => SPDXID === id)?.['comment'], word);
  return {
    seal: saidBy('SPDXRef-Image', 'seal '),
    base: saidBy('SPDXRef-Base', 'manifest '),
    isNested: false,
    laid: packages.flatMap((one) => {
      const purl = listOf(one['externalRefs'])
        .map(({ referenceLocator }) => referenceLocator)
        .find(isLaid);
      return purl === undefined
        ? []
        : [
            {
              place: afterWord(one['comment'], 'at '),
              name: textOf(one['name']),
              version: textOf(one['versionInfo']),
              purl,
              integrity: integrityOf(one['checksums'], 'algorithm', 'checksumValue'),
              isUnlocked: textOf(one['sourceInfo']).endsWith(UNLOCKED_END),
            },
          ];
    }),
  };
}

const isLaid = (purl: unknown): purl is string =>
  typeof purl === 'string' && /^pkg:(?:npm|pypi)\//.test(purl);

const propertyOf = (component: Fields, name: string): string | null => {
  const found = listOf(component['properties']).find((one) => one['name'] === name);
  return found ? textOf(found['value']) : null;
};

const afterWord = (text: unknown, word: string): string | null =>
  typeof text === 'string' && text.startsWith(word) ? text.slice(word.length) : null;

/** The one hash of a package, as a lockfile writes it. */
function integrityOf(hashes: unknown, algorithm: string, content: string): string | null {
  const [hash] = listOf(hashes);
  if (!hash) return null;
  const hex = Buffer.from(textOf(hash[content]), 'hex');
  return `${textOf(hash[algorithm]).toLowerCase().replace('-', '')}-${hex.toString('base64')}`;
}
