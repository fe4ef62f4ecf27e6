import { posix } from 'node:path';
import type { SjsError } from '../../errors.js';
import { showName } from '../../model/clean-text.js';
import { PACKAGE_LIMITS, type LockedPackage } from '../../model/locked-package.js';
import { formatBytes } from '../../model/quantity.js';
import { nameAt } from '../../model/package-list.js';
import { checkManifest, checkScript } from './check-manifest.js';
import { installScriptOf } from './install-script.js';
import { binsOf, findReturn, FIRST_LINE_BYTES, wrongCommand } from './package-bins.js';
import { writeLayer, type LayerWriter } from './layer-writer.js';
import { readTarball, type Allowance, type TarballFile } from './read-tarball.js';
import { refused, tooLarge } from './refused.js';

/** Contents of a package are kept up to this size from the look at them to their writing; of a larger one they are read again. */
const KEPT_BYTES = 16 * 1024 ** 2;

/** What is asked of a cache of tarballs. */
export type OpenTarball = (wanted: LockedPackage) => AsyncIterable<Uint8Array>;

/**
 * The packages as the part of a build context that becomes their layer, without an end: the tar of the source follows. It
 * depends on the list alone, whose integrities name all bytes. Nothing is unpacked on this machine and no script runs.
 * @param packages sorted by location
 * @throws SjsError `PACKAGE_MISMATCH`, `PACKAGE_REFUSED`, `PACKAGE_TOO_LARGE`; what `open` throws
 */
export function layPackages(
  packages: readonly LockedPackage[],
  open: OpenTarball,
): AsyncGenerator<Uint8Array> {
  return writeLayer(packages, (writer) => new Layer(writer, packages, open).write());
}

/** A file of a tarball, as far as laying it in takes. */
interface InspectedFile extends Pick<TarballFile, 'bytes' | 'isExecutable'> {
  /** Where its first line has the carriage return of Windows, which a command may not have; null for none. */
  readonly returnAt: number | null;
}

/** One tarball as it was looked at. */
interface Inspected {
  readonly files: ReadonlyMap<string, InspectedFile>;
  /** Null when they were too many to be kept. */
  readonly contents: ReadonlyMap<string, Buffer> | null;
  /** The package.json of each package that the lockfile has in it, by path. */
  readonly manifests: ReadonlyMap<string, Buffer>;
  /** The files of each package that comes in it, below that one. */
  readonly inner: ReadonlyMap<LockedPackage, readonly string[]>;
}

class Layer {
  private readonly writer: LayerWriter;
  private readonly packages: readonly LockedPackage[];
  private readonly open: OpenTarball;
  private readonly byLocation: ReadonlyMap<string, LockedPackage>;
  /** What comes in the tarball of a package besides itself, by its location. */
  private readonly bundled: ReadonlyMap<string | null, readonly LockedPackage[]>;
  private readonly allowance = allowAll();
  private readonly links = new Set<string>();

  constructor(writer: LayerWriter, packages: readonly LockedPackage[], open: OpenTarball) {
    this.writer = writer;
    this.packages = packages;
    this.open = open;
    this.byLocation = new Map(packages.map((one) => [one.location, one]));
    const bundled = packages.filter(({ bundledIn }) => bundledIn !== null);
    this.bundled = groupBy(bundled, ({ bundledIn }) => bundledIn);
  }

  async write(): Promise<void> {
    for (const one of [...this.packages].sort(inOrderOfNpm)) {
      if (one.bundledIn === null) await this.addPackage(one);
    }
  }

  private async addPackage(wanted: LockedPackage): Promise<void> {
    const { files, contents, manifests, inner } = await this.inspect(wanted);
    const links = new Map<string, string>();
    for (const one of [wanted, ...(this.bundled.get(wanted.location) ?? [])].sort(byLocation)) {
      const inside = insideOf(one, wanted);
      const manifest = checkManifest(one, wanted, manifests.get(`${inside}package.json`));
      checkScript(one, wanted, installScriptOf(manifest, files.has(`${inside}binding.gyp`)));
      const own = one === wanted ? files.keys() : (inner.get(one) ?? []);
      const wrong = wrongCommand(manifest);
      if (wrong !== null) throw refused(wanted, `it has a command with the name ${showName(wrong)}`);
      for (const [command, file] of binsOf(one.name, manifest, own)) {
        const link = `${one.location.slice(0, -nameAt(one.location).length)}.bin/${command}`;
        if (this.links.has(link)) continue;
        this.writer.countName(link, wanted);
        this.links.add(link);
        if (files.has(`${inside}${file}`)) links.set(link, `${inside}${file}`);
      }
    }
    const commands = new Set(links.values());
    const writeFile = async (path: string, content: Buffer | AsyncIterable<Uint8Array>): Promise<void> => {
      const file = files.get(path);
      if (file === undefined) throw refused(wanted, `it became another while it was read`);
      const { bytes, isExecutable, returnAt } = file;
      const name = `app/${wanted.location}/${path}`;
      const isCommand = commands.has(path);
      const cut = isCommand ? returnAt : null;
      const mode = isCommand || isExecutable;
      if (Buffer.isBuffer(content)) await this.writer.addFile(name, mode, without(content, cut), wanted);
      else
        await this.writer.addStream(name, mode, cut === null ? bytes : bytes - 1, skip(content, cut), wanted);
    };
    if (contents) for (const [path, content] of contents) await writeFile(path, content);
    else for await (const file of this.read(wanted, allowAll())) await writeFile(file.path, file.content);
    for (const [link, file] of links) {
      const target = posix.relative(posix.dirname(link), `${wanted.location}/${file}`);
      await this.writer.addLink(`app/${link}`, target, wanted);
    }
  }

  private read(wanted: LockedPackage, allowance: Allowance): AsyncGenerator<TarballFile> {
    return readTarball(wanted, this.open(wanted), allowance);
  }

  /** Looks through a tarball before anything of it is laid in. */
  private async inspect(wanted: LockedPackage): Promise<Inspected> {
    const files = new Map<string, InspectedFile>();
    const manifests = new Map<string, Buffer>();
    let manifestBytes: number = PACKAGE_LIMITS.manifestBytes;
    let contents: Map<string, Buffer> | null = new Map();
    let kept = 0;
    const owned: [LockedPackage, string][] = [];
    for await (const { path, bytes, isExecutable, content } of this.read(wanted, this.allowance)) {
      if (files.has(path)) throw refused(wanted, `it has ${showName(path)} twice`);
      this.writer.countName(`app/${wanted.location}/${path}`, wanted);
      const owner = this.ownerOf(wanted, path);
      const inside = owner === null ? '' : insideOf(owner, wanted);
      const isManifest = path === `${inside}package.json`;
      if (isManifest && (manifestBytes -= bytes) < 0) throw manifestTooLarge(wanted);
      if (owner !== null && inside !== '') owned.push([owner, path.slice(inside.length)]);
      kept += bytes;
      if (kept > KEPT_BYTES) contents = null;
      const text = isManifest || contents ? await whole(content) : await beginning(content, FIRST_LINE_BYTES);
      files.set(path, { bytes, isExecutable, returnAt: findReturn(text) });
      if (isManifest) manifests.set(path, text);
      contents?.set(path, text);
    }
    const inner = new Map(
      [...groupBy(owned, ([owner]) => owner)].map(([owner, all]) => [owner, all.map(([, path]) => path)]),
    );
    return { files, contents, manifests, inner };
  }

  /**
   * The package of the lockfile that a file of a tarball is part of. Of node_modules in a tarball nothing lies where the
   * lockfile has another package.
   */
  private ownerOf(wanted: LockedPackage, path: string): LockedPackage | null {
    const parts = `${wanted.location}/${path}`.split('/');
    for (let end = parts.length - 1; end > 0; end -= 1) {
      const owner = this.byLocation.get(parts.slice(0, end).join('/'));
      if (owner === undefined) continue;
      if (owner === wanted || owner.bundledIn === wanted.location) return owner;
      throw refused(wanted, `${showName(path)} would lie in the package ${owner.location}`);
    }
    return null;
  }
}

const allowAll = (): Allowance => ({ bytes: PACKAGE_LIMITS.bytes });
const collator = new Intl.Collator('en');

/** The order in which npm links commands: of two packages with a command of one name the first has it. */
function inOrderOfNpm(a: LockedPackage, b: LockedPackage): number {
  const depth = ({ location }: LockedPackage): number => location.split('/node_modules/').length;
  return (
    depth(a) - depth(b) || collator.compare(a.location, b.location) || (a.location < b.location ? -1 : 1)
  );
}

function groupBy<Key, Value>(values: Iterable<Value>, keyOf: (value: Value) => Key): Map<Key, Value[]> {
  const groups = new Map<Key, Value[]>();
  for (const value of values) {
    const group = groups.get(keyOf(value));
    if (group) group.push(value);
    else groups.set(keyOf(value), [value]);
  }
  return groups;
}

const byLocation = (a: LockedPackage, b: LockedPackage): number => (a.location < b.location ? -1 : 1);

/** Where a package lies in the tarball that it comes in: '' for that package itself. */
const insideOf = ({ location }: LockedPackage, wanted: LockedPackage): string =>
  location === wanted.location ? '' : `${location.slice(wanted.location.length + 1)}/`;

async function whole(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The first bytes of a content, all of which is read. */
async function beginning(content: AsyncIterable<Uint8Array>, most: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of content) {
    if (bytes >= most) continue;
    // A copy: the rest of the chunk is not to stay for it.
    const piece = Buffer.from(chunk.subarray(0, most - bytes));
    chunks.push(piece);
    bytes += piece.length;
  }
  return Buffer.concat(chunks);
}

/** A content without the byte at a place. */
const without = (content: Buffer, at: number | null): Buffer =>
  at === null ? content : Buffer.concat([content.subarray(0, at), content.subarray(at + 1)]);

async function* skip(content: AsyncIterable<Uint8Array>, at: number | null): AsyncGenerator<Uint8Array> {
  let passed = 0;
  for await (const chunk of content) {
    const place = at === null ? -1 : at - passed;
    passed += chunk.length;
    yield place >= 0 && place < chunk.length ? without(Buffer.from(chunk), place) : chunk;
  }
}

const manifestTooLarge = ({ name, version }: LockedPackage): SjsError =>
  tooLarge(
    `the package.json of ${name}@${version} is larger than ${formatBytes(PACKAGE_LIMITS.manifestBytes)}`,
  );
