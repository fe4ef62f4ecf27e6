import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { fromBufferPromise, type Entry, type ZipFile } from 'yauzl';
import { SjsError } from '../../errors.js';
import { cleanText, showName } from '../../model/clean-text.js';
import { PACKAGE_LIMITS, type LockedWheel } from '../../model/locked-package.js';
import { WHEEL_FOLDER } from '../../model/package-list.js';
import { formatBytes } from '../../model/quantity.js';
import { hasUnprintable } from '../../model/sandbox.js';
import { NAME_BYTES, SOURCE_LIMITS } from '../../model/source-tree.js';
import {
  infoFolder,
  normalizeProject,
  parseMetadata,
  parseRecord,
  placeInSite,
  signaturesIn,
} from '../../model/wheel.js';
import { isWhiteout } from '../../model/whiteout.js';
import { isInRange, isSameVersion } from './choose-wheels.js';
import { writeLayer, type LayerWriter } from './layer-writer.js';
import { asksForExtra, evaluateMarker, type PythonPlatform } from './python-platform.js';
import { parseSpecification } from './read-requirements.js';
import { refused, tooLarge, unpacksTooMuch } from './refused.js';

/** What the reading of a dependency takes at least, in letters of one. */
const NEED_BYTES = 100;
const NEEDS_AT_ONCE = 100;

/** What is asked of a cache of wheels. */
export type OpenWheel = (wanted: LockedWheel) => AsyncIterable<Uint8Array>;

/**
 * Wheels as the part of a build context that becomes their layer, without an end: the tar of the source follows. All lie in
 * one site-packages, as pip would lay them; of scripts, headers and other data nothing is laid in, and nothing is run.
 * @param packages sorted by location
 * @throws SjsError `PACKAGE_MISMATCH`, `PACKAGE_REFUSED`, `PACKAGE_TOO_LARGE`; what `open` throws
 */
export function layWheels(
  packages: readonly LockedWheel[],
  platform: PythonPlatform,
  open: OpenWheel,
): AsyncGenerator<Uint8Array> {
  return writeLayer(packages, async (writer) => {
    const layer = new WheelLayer(writer, packages, platform);
    for (const one of packages) await layer.add(one, await readWhole(open(one)));
  });
}

class WheelLayer {
  private readonly writer: LayerWriter;
  private readonly byName: ReadonlyMap<string, LockedWheel>;
  private readonly platform: PythonPlatform;
  private bytes: number = PACKAGE_LIMITS.bytes;
  private needBytes: number = PACKAGE_LIMITS.manifestBytes;
  /** What each file hashes to, by its place: parts of one namespace come with the same file each. */
  private readonly laid = new Map<string, string>();

  constructor(writer: LayerWriter, packages: readonly LockedWheel[], platform: PythonPlatform) {
    this.writer = writer;
    this.byName = new Map(packages.map((one) => [one.name, one]));
    this.platform = platform;
  }

  async add(wanted: LockedWheel, wheel: Buffer): Promise<void> {
    try {
      await this.addWheel(wanted, await fromBufferPromise(wheel, { strictFileNames: true }));
    } catch (error) {
      if (error instanceof SjsError) throw error;
      throw refused(
        wanted,
        `it cannot be read as an archive (${cleanText((error as Error).message)})`,
        error,
      );
    }
  }

  private async addWheel(wanted: LockedWheel, zip: ZipFile): Promise<void> {
    const info = infoFolder(wanted);
    const files = await this.list(wanted, zip, info);
    const readText = async (name: string): Promise<string> => {
      const entry = files.get(`${info}/${name}`);
      if (entry === undefined) throw refused(wanted, `it has no ${info}/${name}`);
      if (entry.uncompressedSize > PACKAGE_LIMITS.manifestBytes) {
        throw tooLarge(
          `${info}/${name} of ${wanted.name} ${wanted.version} is larger than ${formatBytes(PACKAGE_LIMITS.manifestBytes)}`,
        );
      }
      return (await readWhole(await zip.openReadStreamPromise(entry))).toString('utf8');
    };
    const [format = ''] = parseMetadata(await readText('WHEEL')).get('wheel-version') ?? [];
    if (!/^1\.\d+$/.test(format)) throw refused(wanted, 'it is of no version of the format that is known');
    await this.checkMetadata(wanted, parseMetadata(await readText('METADATA')));
    const record = parseRecord(await readText('RECORD'));
    if (record === null) throw refused(wanted, 'its RECORD cannot be read');
    for (const [path, entry] of files) {
      const place = placeInSite(path, info);
      if (place === null) continue;
      const stated = signaturesIn(info).includes(path) ? null : statedHash(wanted, path, record);
      const content = checked(() => zip.openReadStreamPromise(entry), stated, wanted, path);
      const name = `app/${WHEEL_FOLDER}/${place}`;
      const isThere = stated !== null && this.laid.get(name) === stated.digest;
      if (stated !== null) this.laid.set(name, stated.digest);
      if (isThere) for await (const chunk of content) void chunk;
      else {
        const isExecutable = (modeOf(entry) & 0o111) !== 0;
        await this.writer.addStream(name, isExecutable, entry.uncompressedSize, content, wanted);
      }
    }
  }

  /** The files, by their path; nothing is read yet. */
  private async list(wanted: LockedWheel, zip: ZipFile, info: string): Promise<ReadonlyMap<string, Entry>> {
    const files = new Map<string, Entry>();
    for await (const entry of zip.eachEntry()) {
      const path = entry.fileName;
      if (path.endsWith('/')) continue;
      checkPath(wanted, path);
      if ((modeOf(entry) & 0o170000) === 0o120000) throw refused(wanted, `${showName(path)} is a link`);
      if (files.has(path)) throw refused(wanted, `it has ${showName(path)} twice`);
      const { fileName } = await zip.readLocalFileHeaderPromise(entry);
      if (!fileName.equals(entry.fileNameRaw) || entry.extraFields.some(({ id }) => id === UNICODE_PATH))
        throw refused(wanted, `${showName(path)} has two names`);
      const [, folder] = OTHER_PROJECT.exec(placeInSite(path, info) ?? '') ?? [];
      if (folder !== undefined && folder !== info)
        throw refused(wanted, `it says with ${showName(folder)} that it is another`);
      if ((this.bytes -= entry.uncompressedSize) < 0)
        throw unpacksTooMuch(wanted, formatBytes(PACKAGE_LIMITS.bytes));
      this.writer.countName(`app/${WHEEL_FOLDER}/${path}`, wanted);
      files.set(path, entry);
    }
    return files;
  }

  /** It is what requirements.txt says, it is for this Python, and all that it needs is there. */
  private async checkMetadata(
    wanted: LockedWheel,
    metadata: ReadonlyMap<string, readonly string[]>,
  ): Promise<void> {
    const [name = '', version = '', python = ''] = ['name', 'version', 'requires-python'].map(
      (field) => metadata.get(field)?.[0],
    );
    if (normalizeProject(name) !== wanted.name || !isSameVersion(version, wanted.version)) {
      const says = cleanText(`${name} ${version}`.slice(0, 300));
      throw mismatch(
        wanted,
        `it says that it is ${says}`,
        'look into it: its hash is right, its content is not',
      );
    }
    if (!isInRange(this.platform.version, python)) {
      throw mismatch(
        wanted,
        `it needs Python ${cleanText(python.slice(0, 100))}, and the base has ${this.platform.version}`,
        'take a version of it for this Python, or another base',
      );
    }
    for (const [at, line] of (metadata.get('requires-dist') ?? []).entries()) {
      // To read many takes its time, and whoever waits may give up.
      if (at % NEEDS_AT_ONCE === 0) await setImmediate();
      this.checkNeed(wanted, line);
    }
  }

  private checkNeed(wanted: LockedWheel, line: string): void {
    const shown = cleanText(line.slice(0, 200));
    const need = parseSpecification(line);
    if (need === null || !('name' in need)) throw refused(wanted, `what it needs cannot be read: ${shown}`);
    const marker = need.environmentMarkerTree ?? null;
    const extras = asksForExtra(marker) ? ['', ...wanted.extras] : [''];
    this.needBytes -= (line.length + NEED_BYTES) * extras.length;
    if (this.needBytes < 0) throw tooLarge(`${wanted.name} ${wanted.version} says too much of what it needs`);
    if (!extras.some((extra) => evaluateMarker(marker, this.platform, extra))) return;
    const found = this.byName.get(normalizeProject(need.name));
    const range =
      need.type === 'ProjectName'
        ? (need.versionSpec ?? []).map(({ operator, version }) => `${operator}${version}`).join(',')
        : '';
    if (found && isInRange(found.version, range)) return;
    throw mismatch(
      wanted,
      found
        ? `it needs ${shown}, and requirements.txt has ${found.version}`
        : `it needs ${shown}, which requirements.txt does not have`,
      'write requirements.txt anew with pip-compile, uv or poetry: nothing is resolved at a build',
    );
  }
}

/** What Python's own tools, and others that look through an image, take for a project. */
const OTHER_PROJECT = /^([^/]+\.(?:dist-info|data|egg-info|egg-link))(?:\/|$)/i;

/** The extra field of a zip by which a file has another name for some who read it. */
const UNICODE_PATH = 0x7075;

const modeOf = ({ externalFileAttributes, versionMadeBy }: Entry): number =>
  // Only of archives made on Unix the upper half is a mode.
  versionMadeBy >> 8 === 3 ? externalFileAttributes >>> 16 : 0;

/** What yauzl refuses by itself does not come so far: absolute paths, `..`, backslashes. */
function checkPath(wanted: LockedWheel, path: string): void {
  const parts = path.split('/');
  const isWrong =
    path.includes('\0') ||
    hasUnprintable(path) ||
    parts.some((part) => part === '' || part === '.' || part === '..' || isWhiteout(part)) ||
    parts.some((part) => Buffer.byteLength(part) > NAME_BYTES) ||
    Buffer.byteLength(path) > SOURCE_LIMITS.pathBytes ||
    parts.length > SOURCE_LIMITS.depth;
  if (isWrong) throw refused(wanted, `it has the name ${showName(path)}`);
}

/** What a RECORD says that a file hashes to. */
interface StatedHash {
  readonly algorithm: string;
  /** In base64url, without its filling. */
  readonly digest: string;
}

function statedHash(wanted: LockedWheel, path: string, record: ReadonlyMap<string, string>): StatedHash {
  const stated = record.get(path);
  if (stated === undefined) throw refused(wanted, `${showName(path)} is not in its RECORD`);
  const [, algorithm, digest] = /^(sha(?:256|384|512))=([\w-]+)=*$/.exec(stated) ?? [];
  if (algorithm !== undefined && digest !== undefined) return { algorithm, digest };
  throw refused(wanted, `its RECORD has no hash of ${showName(path)} that counts`);
}

/** A file as it is unpacked; fails at its end when it is not what the RECORD says. */
async function* checked(
  open: () => Promise<Readable>,
  stated: StatedHash | null,
  wanted: LockedWheel,
  path: string,
): AsyncGenerator<Uint8Array> {
  const hash = stated && createHash(stated.algorithm);
  // Opened when it is read: what fails before would fail with nobody listening.
  for await (const chunk of (await open()) as AsyncIterable<Buffer>) {
    hash?.update(chunk);
    yield chunk;
  }
  if (hash?.digest('base64url') !== stated?.digest)
    throw refused(wanted, `${showName(path)} is not what its RECORD says`);
}

async function readWhole(content: AsyncIterable<Uint8Array | string>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

const mismatch = ({ name, version }: LockedWheel, why: string, next: string): SjsError =>
  new SjsError('PACKAGE_MISMATCH', `the wheel of ${name} ${version} does not fit: ${why}`, { next });
