import { once } from 'node:events';
import { pack as createPack, type Pack } from 'tar-stream';
import { SjsError } from '../../errors.js';
import { showName } from '../../model/clean-text.js';
import { inPieces } from '../../model/in-pieces.js';
import { PACKAGE_LIMITS } from '../../model/locked-package.js';
import { PACKAGE_LIST } from '../../model/own-files.js';
import { formatPackageList, type PackageList, type ResolvedPackage } from '../../model/package-list.js';
import { formatBytes } from '../../model/quantity.js';
import { plainHeader } from '../../model/tar-header.js';
import { refused, unpacksTooMuch } from './refused.js';

/**
 * The layer of packages, as `write` makes it behind their list, without an end: the tar of the source follows. What fails
 * there is what reading it fails with.
 */
export async function* writeLayer(
  packages: PackageList,
  write: (writer: LayerWriter) => Promise<void>,
): AsyncGenerator<Uint8Array> {
  const pack = createPack();
  const writing = (async () => {
    const writer = new LayerWriter(pack);
    await writer.addFile(PACKAGE_LIST.slice(1), false, Buffer.from(formatPackageList(packages)));
    await write(writer);
    // No end of the archive: more follows.
    pack.push(null);
  })();
  writing.catch((error: unknown) => pack.destroy(error as Error));
  try {
    yield* inPieces(pack as unknown as AsyncIterable<Uint8Array>);
  } finally {
    pack.destroy();
    await writing.catch(() => undefined);
  }
}

/** Writes the layer of packages: every folder once, no name that means two things, and bounded. */
export class LayerWriter {
  private readonly pack: Pack;
  private names: number = PACKAGE_LIMITS.names;
  private nameBytes: number = PACKAGE_LIMITS.nameBytes;
  private readonly folders = new Set<string>();
  /** All names, as a file system sees them that folds letter case and Unicode forms. */
  private readonly folded = new Map<string, string>();

  constructor(pack: Pack) {
    this.pack = pack;
  }

  /** What is remembered of names is bounded, as what lies below them is. */
  countName(name: string, wanted: ResolvedPackage): void {
    this.names -= 1;
    this.nameBytes -= Buffer.byteLength(name);
    if (this.names < 0) throw unpacksTooMuch(wanted, `${PACKAGE_LIMITS.names} files and folders`);
    if (this.nameBytes < 0) {
      throw unpacksTooMuch(wanted, `${formatBytes(PACKAGE_LIMITS.nameBytes)} of names`);
    }
  }

  /** Folders above a name, each once, and that no name means two things. */
  private async enter(name: string, wanted: ResolvedPackage | null): Promise<void> {
    const parents: string[] = [''];
    for (let end = name.indexOf('/'); end >= 0; end = name.indexOf('/', end + 1))
      parents.push(name.slice(0, end));
    for (const parent of parents) {
      if (this.folders.has(parent)) continue;
      if (wanted !== null) this.countName(parent, wanted);
      this.claim(parent, wanted);
      this.folders.add(parent);
      await this.add({
        ...plainHeader(`packages/${parent}`.replace(/\/$/, '')),
        type: 'directory',
        mode: 0o755,
      });
    }
    this.claim(name, wanted);
  }

  private claim(name: string, wanted: ResolvedPackage | null): void {
    const key = name.normalize('NFC').toLowerCase();
    const other = this.folded.get(key);
    this.folded.set(key, name);
    if (other === undefined) return;
    const why =
      other === name
        ? `${showName(name)} would be there twice`
        : `${showName(other)} and ${showName(name)} differ only in letter case or Unicode form`;
    throw wanted === null ? new SjsError('INTERNAL', why) : refused(wanted, why);
  }

  async addFile(
    name: string,
    isExecutable: boolean,
    content: Buffer,
    wanted: ResolvedPackage | null = null,
  ): Promise<void> {
    await this.enter(name, wanted);
    await this.add(
      { ...plainHeader(`packages/${name}`), size: content.length, mode: modeOf(isExecutable) },
      content,
    );
  }

  async addStream(
    name: string,
    isExecutable: boolean,
    bytes: number,
    content: AsyncIterable<Uint8Array>,
    wanted: ResolvedPackage,
  ): Promise<void> {
    await this.enter(name, wanted);
    const header = { ...plainHeader(`packages/${name}`), size: bytes, mode: modeOf(isExecutable) };
    const entry = this.pack.entry(header);
    let isClosed = false;
    // Before its end that means that nobody reads the layer any more: no drain comes then.
    const done = once(entry, 'close').finally(() => (isClosed = true));
    done.catch(() => undefined);
    for await (const chunk of content) {
      if (!entry.write(chunk)) await Promise.race([once(entry, 'drain'), done]);
      if (isClosed) throw new SjsError('ABORTED', 'nobody reads the layer of packages any more');
    }
    entry.end(undefined);
    await done;
  }

  async addLink(name: string, target: string, wanted: ResolvedPackage): Promise<void> {
    await this.enter(name, wanted);
    await this.add({ ...plainHeader(`packages/${name}`), type: 'symlink', linkname: target, mode: 0o777 });
  }

  private add(header: Parameters<Pack['entry']>[0], content?: Buffer): Promise<void> {
    return new Promise((done, fail) => {
      const settle = (error?: Error | null): void => (error ? fail(error) : done());
      if (content === undefined) this.pack.entry(header, settle);
      else this.pack.entry(header, content, settle);
    });
  }
}

const modeOf = (isExecutable: boolean): number => (isExecutable ? 0o755 : 0o644);
