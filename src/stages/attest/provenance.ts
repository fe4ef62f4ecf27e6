import { PackageURL } from 'packageurl-js';
import { SjsError } from '../../errors.js';
import type { BuildFacts, GitFacts } from '../../model/build-facts.js';
import { hexOf, type Digest } from '../../model/digest.js';
import type { ImageContents } from '../../model/image-contents.js';
import { FORMAT_VERSION } from '../../model/sealed-image.js';
import { formatPurl, hashOf } from './packages.js';

/** What `externalParameters` and `internalParameters` mean: docs/chain.md. */
const BUILD_TYPE = 'https://sjs.dev/build/v1';
/** Who vouches for the build: sjs, on whatever machine the signer of the provenance ran it. */
const BUILDER_ID = 'https://sjs.dev/builder/v1';

/** in-toto's ResourceDescriptor v1, as far as sjs fills it. */
export interface ResourceDescriptor {
  readonly name?: string;
  readonly uri?: string;
  readonly digest: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, unknown>>;
}

/** The predicate of SLSA provenance v1. */
export interface Provenance {
  readonly buildDefinition: {
    readonly buildType: string;
    readonly externalParameters: Readonly<Record<string, unknown>>;
    readonly internalParameters: Readonly<Record<string, unknown>>;
    readonly resolvedDependencies: readonly ResourceDescriptor[];
  };
  readonly runDetails: {
    readonly builder: { readonly id: string; readonly version: Readonly<Record<string, string>> };
    readonly metadata: {
      readonly invocationId: string;
      readonly startedOn: string;
      readonly finishedOn: string;
    };
    /** The seal, by the name `seal`. */
    readonly byproducts: readonly ResourceDescriptor[];
  };
}

/** What a provenance is written from. */
export type ProvenanceFacts = Pick<ImageContents, 'entry' | 'image' | 'labels' | 'sourceLayer' | 'packages'>;

/**
 * The SLSA provenance of a seal: what the author asked for, what sjs added, what went in, what came out.
 * @throws SjsError `BUILD_UNKNOWN` for a seal that was not made here, or by an sjs that did not keep how.
 */
export function buildProvenance({
  entry,
  image,
  labels,
  sourceLayer,
  packages,
}: ProvenanceFacts): Provenance {
  const { build } = entry;
  if (!build) {
    throw new SjsError('BUILD_UNKNOWN', `nothing is known here of how ${entry.tag} was built`, {
      next: whereElse(entry),
    });
  }
  const { user, command, args } = programOf(image.config);
  const { seccompDigest, ...rights } = labels.plan;
  return {
    buildDefinition: {
      buildType: BUILD_TYPE,
      externalParameters: {
        sandbox: {
          name: labels.name,
          ...(labels.version !== null && { version: labels.version }),
          ...(build.sandboxDigest && { digest: digestSet(build.sandboxDigest) }),
        },
        ...(build.lockDigest && { lock: { digest: digestSet(build.lockDigest) } }),
        user,
        command,
        args,
        rights,
        platform: image.platform,
      },
      internalParameters: {
        formatVersion: FORMAT_VERSION,
        template: { digest: digestSet(build.templateDigest) },
        seccompProfile: { digest: digestSet(seccompDigest) },
        policy: { digest: digestSet(build.policyDigest) },
        context: { digest: digestSet(build.contextDigest) },
        inputs: { digest: digestSet(entry.inputs) },
      },
      resolvedDependencies: [
        ...describeBase(entry, build),
        ...describeOrigin(labels),
        ...describePackages(packages),
        { name: 'source', digest: digestSet(sourceLayer), annotations: { mediaType: LAYER } },
        ...(build.git ? [describeGit(build.git)] : []),
      ],
    },
    runDetails: {
      builder: { id: BUILDER_ID, version: build.versions },
      metadata: {
        invocationId: build.invocationId,
        startedOn: toSecond(build.startedAt),
        finishedOn: toSecond(build.finishedAt),
      },
      byproducts: [{ name: 'seal', digest: digestSet(entry.seal), annotations: { tag: entry.tag } }],
    },
  };
}

/** Uncompressed: what a diff ID names. */
const LAYER = 'application/vnd.oci.image.layer.v1.tar';

const digestSet = (digest: Digest): Readonly<Record<string, string>> => ({ sha256: hexOf(digest) });

/** SLSA's timestamps have no fractions. */
const toSecond = (time: string): string => `${new Date(time).toISOString().slice(0, 19)}Z`;

const programOf = ({ User, Entrypoint, Cmd }: ImageContents['image']['config']) => ({
  user: User ?? '',
  command: Entrypoint ?? [],
  args: Cmd ?? [],
});

/** The manifest that was built from, and the index that was signed where that is another. */
function describeBase(
  { base }: ProvenanceFacts['entry'],
  { baseSigner }: BuildFacts,
): readonly ResourceDescriptor[] {
  const describe = (name: string, digest: Digest, annotations: object): ResourceDescriptor => ({
    name,
    uri: formatImagePurl(base.image, digest),
    digest: digestSet(digest),
    annotations: {
      image: base.image,
      ...(base.version !== null && { version: base.version }),
      ...annotations,
    },
  });
  const signed = { signer: baseSigner };
  if (base.digest === base.manifestDigest) return [describe('base', base.manifestDigest, signed)];
  return [describe('base', base.manifestDigest, {}), describe('base index', base.digest, signed)];
}

/** The seal whose layers a rebase took; its own label says so, which the seal covers. */
const describeOrigin = ({ rebasedFrom }: ProvenanceFacts['labels']): readonly ResourceDescriptor[] =>
  rebasedFrom === null ? [] : [{ name: 'rebased from', digest: digestSet(rebasedFrom) }];

/** The package URL of an image in a registry, by its digest. */
const formatImagePurl = (image: string, digest: Digest): string =>
  new PackageURL('oci', null, image.slice(image.lastIndexOf('/') + 1), digest, {
    repository_url: image,
  }).toString();

/** Each package once, wherever it lies. */
function describePackages(packages: ProvenanceFacts['packages']): readonly ResourceDescriptor[] {
  const found = packages.flatMap((one): [string, ResourceDescriptor][] => {
    const hash = hashOf(one.integrity);
    // What came with the source is named by the source.
    if (!hash) return [];
    const uri = formatPurl(one);
    return [[`${uri} ${hash.hex}`, { name: one.name, uri, digest: { [hash.algorithm]: hash.hex } }]];
  });
  return [...new Map(found)].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, descriptor]) => descriptor);
}

/** The commit is where HEAD was. Whether all that was sealed is in it, the digest of the source alone can show. */
const describeGit = ({ commit, ref, remote }: GitFacts): ResourceDescriptor => ({
  name: 'git',
  ...(remote !== null && { uri: `git+${remote}${ref === null ? '' : `@${ref}`}` }),
  digest: { gitCommit: commit },
  annotations: { ...(ref !== null && { ref }), modified: 'unknown' },
});

/** Where the provenance of a seal is that this home cannot write. */
function whereElse({ imported, tag }: ProvenanceFacts['entry']): string {
  if (!imported) return `remove it with sjs rm ${tag} and build it again`;
  return imported.trustedBy === 'signature'
    ? `its signer attests it: sjs verify --verbose ${tag} prints the command of cosign that shows it`
    : 'its provenance is where it was built';
}
