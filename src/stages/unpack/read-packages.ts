import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { extract, type Header } from 'tar-stream';
import { SjsError } from '../../errors.js';
import { showName } from '../../model/clean-text.js';
import type { Digest } from '../../model/digest.js';
import { filledLayers } from '../../model/image-layers.js';
import { PACKAGE_LIMITS } from '../../model/locked-package.js';
import { PACKAGE_LIST } from '../../model/own-files.js';
import {
  isWheelLocation,
  parsePackageList,
  WHEEL_FOLDER,
  type PackageList,
} from '../../model/package-list.js';
import { parseRecord, placeInSite, signaturesIn } from '../../model/wheel.js';
import { isWhiteout } from '../../model/whiteout.js';
import { fileOwner } from './read-manifest.js';

/** The layer that packages have of their own, right below that of the source. */
export function findPackagesLayer(diffIds: readonly Digest[]): Digest {
  const found = filledLayers(diffIds).at(-2);
  if (found !== undefined) return found;
  throw refuse('it has no layer of its own for its packages');
}

/** Enough for ten thousand packages with long names. */
const MOST_LIST_BYTES = 16 * 1024 ** 2;
/** More than any package.json that anybody has written. */
const MOST_MANIFEST_BYTES = 1024 ** 2;

/** Gets what the packages have in them, in the order of the archive. */
export interface PackageTaker {
  /** The package.json of each package; of Python its METADATA. */
  onManifest?(location: string, text: string): void;
  /** Where a package has a binding.gyp. */
  onGypFile?(location: string): void;
}

/**
 * The packages in a layer, which may come from anybody: their list is the one that the label names, and every file lies in
 * a package of it.
 * @param digest of the list, as the label has it
 * @throws SjsError `SEAL_REFUSED`
 */
export async function readPackages(
  tar: Readable,
  digest: Digest,
  taker: PackageTaker = {},
): Promise<PackageList> {
  const names: string[] = [];
  const records = new Map<string, WheelRecord>();
  let recordLetters = 0;
  let list: Buffer | null = null;
  const archive = extract();
  tar.on('error', (error) => archive.destroy(error));
  tar.pipe(archive);
  try {
    for await (const entry of archive) {
      const { header } = entry;
      const name = placeOf(header);
      if (`/${name}` === PACKAGE_LIST && header.type === 'file') {
        list = await readBounded(entry as AsyncIterable<Uint8Array>);
      } else if (header.type !== 'directory') names.push(name);
      if (names.length > PACKAGE_LIMITS.names) throw refuse(`it has more than ${PACKAGE_LIMITS.names} files`);
      const location =
        header.type === 'file' ? (fileOwner(name, 'package.json') ?? fileOwner(name, 'METADATA')) : null;
      if (taker.onManifest && location !== null && (header.size ?? 0) <= MOST_MANIFEST_BYTES) {
        taker.onManifest(location, (await readBounded(entry as AsyncIterable<Uint8Array>)).toString('utf8'));
      }
      const record = header.type === 'file' ? fileOwner(name, 'RECORD') : null;
      if (record !== null) {
        if (records.has(record)) throw refuse(`it says twice who ${record} is`);
        const text = (await readBounded(entry as AsyncIterable<Uint8Array>)).toString('utf8');
        if ((recordLetters += text.length) > MOST_LIST_BYTES) throw refuse('its RECORDs are too large');
        records.set(record, { folder: name.split('/').at(-2) ?? '', text });
      }
      const gyp = header.type === 'file' ? fileOwner(name, 'binding.gyp') : null;
      if (gyp !== null) taker.onGypFile?.(gyp);
      entry.resume();
    }
  } catch (error) {
    if (error instanceof SjsError) throw error;
    throw new SjsError('SEAL_REFUSED', 'the layer of the packages cannot be read', { cause: error });
  } finally {
    tar.destroy();
  }
  if (list === null) throw refuse(`it has no ${PACKAGE_LIST}`);
  if (`sha256:${createHash('sha256').update(list).digest('hex')}` !== digest) {
    throw refuse(`${PACKAGE_LIST} is not the list that the label names`);
  }
  const packages = parsePackageList(list.toString('utf8'));
  if (packages === undefined) throw refuse(`${PACKAGE_LIST} is no list of packages`);
  if (packages.some(({ location }) => isWheelLocation(location))) checkRecords(names, packages, records);
  else checkOwners(names, packages);
  return packages;
}

/** Where an entry lies: below node_modules or site-packages, or the list. Links are those to commands, which stay there. */
function placeOf({ name, type, mode = 0, linkname }: Header): string {
  const whole = name.replace(/\/$/, '');
  const parts = whole.split('/');
  const isWrong =
    name.includes('\0') ||
    parts.some((part) => part === '' || part === '.' || part === '..' || isWhiteout(part)) ||
    !(
      /^(?:app|\.sjs)$/.test(whole) ||
      /^app\/(?:node_modules|site-packages)(?:\/|$)/.test(whole) ||
      `/${whole}` === PACKAGE_LIST
    );
  if (isWrong) throw refuse(`it puts a file at /${showName(name)}`);
  if ((mode & 0o7000) !== 0) throw refuse(`/${showName(name)} is setuid, setgid or sticky`);
  if (type === 'file' || type === 'directory') return whole;
  const target = posix.join(posix.dirname(whole), linkname ?? '/');
  const isCommand =
    type === 'symlink' &&
    /\/node_modules\/\.bin\/[^/]+$/.test(whole) &&
    linkname?.startsWith('../') === true &&
    target.startsWith(whole.slice(0, whole.lastIndexOf('.bin/')));
  if (!isCommand) throw refuse(`/${showName(name)} is a ${type}`);
  return whole;
}

function checkOwners(names: readonly string[], packages: PackageList): void {
  const locations = new Set(packages.map(({ location }) => `app/${location}`));
  for (const name of names) {
    if (/^app\/(?:node_modules\/(?:@[^/]+\/)?[^/]+\/)*node_modules\/\.bin\/[^/]+$/.test(name)) continue;
    let end = name.lastIndexOf('/');
    while (end > 0 && !locations.has(name.slice(0, end))) end = name.lastIndexOf('/', end - 1);
    if (end <= 0) throw refuse(`/${showName(name)} lies in no package of the list`);
  }
}

/** What a package of Python says that it has. */
interface WheelRecord {
  /** The name of its folder in site-packages. */
  readonly folder: string;
  readonly text: string;
}

/** All lie in one folder: every file is in the RECORD of a package of the list. */
function checkRecords(
  names: readonly string[],
  packages: PackageList,
  records: ReadonlyMap<string, WheelRecord>,
): void {
  const own = new Set<string>();
  for (const { location } of packages) {
    const { folder, text } = records.get(location) ?? {};
    const record = text === undefined ? null : parseRecord(text);
    if (folder === undefined || record === null) throw refuse(`${location} has no RECORD`);
    for (const path of [...record.keys(), ...signaturesIn(folder)]) {
      const place = placeInSite(path, folder);
      if (place !== null) own.add(`app/${WHEEL_FOLDER}/${place}`);
    }
  }
  const other = names.find((name) => !own.has(name));
  if (other !== undefined) throw refuse(`/${showName(other)} lies in no package of the list`);
}

async function readBounded(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of content) {
    bytes += chunk.length;
    if (bytes > MOST_LIST_BYTES) throw refuse('a list in it is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function refuse(why: string): SjsError {
  return new SjsError('SEAL_REFUSED', `the sealed packages are none that sjs would have laid in: ${why}`, {
    next: 'do not use this image; build it again from its source and lockfile',
  });
}
