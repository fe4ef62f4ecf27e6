import { existsSync, readFileSync } from 'node:fs';
import { isErrno, SjsError } from '../../errors.js';
import { isBuildFacts } from '../../model/build-facts.js';
import { hexOf, isDigest, type Digest } from '../../model/digest.js';
import { fieldsOf } from '../../model/fields.js';
import { FORMAT_VERSION, type IndexEntry } from '../../model/sealed-image.js';
import { isPushedSeal, isSealProof } from '../../model/seal-proof.js';
import type { HomeFolder } from './home-folder.js';
import { checkFormat, parseObject } from './record-shape.js';
import { invalidFile } from './store-error.js';

const IMAGES = 'images';
const INPUTS = 'inputs';
/** Signed statements of seals, by the seal. */
const STATEMENTS = 'statements';

/** The index of seals: `images/<seal>.json`, and the same entry under `inputs/<inputs>.json`; what was signed of a seal. */
export class ImageFiles {
  private readonly home: HomeFolder;

  constructor(home: HomeFolder) {
    this.home = home;
  }

  async update(seal: Digest, change: (entry: IndexEntry | null) => IndexEntry): Promise<IndexEntry> {
    return this.alone(seal, async () => {
      const entry = change(await this.findBySeal(seal));
      await this.save(entry);
      return entry;
    });
  }

  private alone<T>(seal: Digest, work: () => Promise<T>): Promise<T> {
    return this.home.withLock(IMAGES, `${hexOf(seal)}.lock`, work);
  }

  async save(entry: IndexEntry): Promise<void> {
    const text = `${JSON.stringify(entry, null, 2)}\n`;
    await this.home.write(IMAGES, fileName(entry.seal), text);
    await this.home.write(INPUTS, fileName(entry.inputs), text);
  }

  list(onInvalid?: (path: string) => void): readonly IndexEntry[] {
    const entries: IndexEntry[] = [];
    for (const name of this.home.list(IMAGES)) {
      if (!/^[0-9a-f]{64}\.json$/.test(name)) continue;
      const path = this.home.at(IMAGES, name);
      try {
        // One by one and at once: five times faster than thousands of files in parallel.
        entries.push(parseEntry(readFileSync(path, 'utf8'), path));
      } catch (error) {
        // An entry that somebody removed meanwhile is not a broken one.
        if (!isErrno(error, 'ENOENT')) onInvalid?.(path);
      }
    }
    return entries.sort((a, b) => (a.createdAt === b.createdAt ? 0 : a.createdAt < b.createdAt ? 1 : -1));
  }

  async findBySeal(seal: Digest): Promise<IndexEntry | null> {
    const entry = await this.read(IMAGES, seal);
    if (entry && entry.seal !== seal) throw invalid(this.home.at(IMAGES, fileName(seal)), 'seal');
    return entry;
  }

  /** A lookup that cannot be read is no answer: the build that follows writes it anew. */
  async findByInputs(inputs: Digest): Promise<IndexEntry | null> {
    const entry = await this.read(INPUTS, inputs).catch((error: unknown) => {
      if (error instanceof SjsError && error.code === 'STORE_INVALID') return null;
      throw error;
    });
    return entry?.inputs === inputs && (await this.findBySeal(entry.seal)) ? entry : null;
  }

  async saveStatement(seal: Digest, text: string): Promise<void> {
    await this.home.write(STATEMENTS, fileName(seal), text);
  }

  statementFile(seal: Digest): string {
    return this.home.at(STATEMENTS, fileName(seal));
  }

  async readStatement(seal: Digest): Promise<string | null> {
    this.home.check();
    return (await this.home.read(STATEMENTS, fileName(seal)))?.toString() ?? null;
  }

  async remove(seal: Digest): Promise<void> {
    // An update under way would write what it read before.
    await this.alone(seal, async () => {
      await this.home.remove(STATEMENTS, fileName(seal));
      const entry = await this.read(IMAGES, seal).catch(() => null);
      await this.home.remove(IMAGES, fileName(seal));
      if (entry) await this.home.remove(INPUTS, fileName(entry.inputs));
    });
  }

  /** Removes lookups by inputs of seals that the index no longer has: several inputs can have led to one. */
  async removeStaleInputs(): Promise<void> {
    for (const name of this.home.list(INPUTS)) {
      // The entry is written before its lookup: where that is, and the entry is not, the entry is gone.
      if (this.isOrphan(this.home.at(INPUTS, name))) await this.home.remove(INPUTS, name);
    }
  }

  /** Whether a lookup is of a seal that is not there; false for one that cannot be read, which says of none. */
  private isOrphan(path: string): boolean {
    try {
      const { seal } = parseEntry(readFileSync(path, 'utf8'), path);
      return !existsSync(this.home.at(IMAGES, fileName(seal)));
    } catch {
      return false;
    }
  }

  private async read(folder: string, key: Digest): Promise<IndexEntry | null> {
    this.home.check();
    const path = this.home.at(folder, fileName(key));
    const content = await this.home.read(folder, fileName(key));
    return content && parseEntry(content.toString(), path);
  }
}

const text = (value: unknown): boolean => typeof value === 'string';
/** A tag that sjs gives: what is removed by an entry is named by it. */
const isTag = (value: unknown): boolean =>
  typeof value === 'string' && /^sjs\/[a-z0-9-]{1,63}:[\w.-]{1,128}$/.test(value);
const textOrNull = (value: unknown): boolean => value === null || text(value);

const isAbsentOr = (value: unknown, is: (one: unknown) => boolean): boolean =>
  value === undefined || (Array.isArray(value) && value.every(is));

/** One that came in by its signature: nothing else is kept as an origin, and a run would ask nothing of another. */
function isOrigin(value: unknown): boolean {
  const { seal, tag, base, imported, signatures } = fieldsOf(value);
  return (
    isDigest(seal) &&
    isTag(tag) &&
    isDigest(fieldsOf(base)['digest']) &&
    fieldsOf(imported)['trustedBy'] === 'signature' &&
    isAbsentOr(signatures, isSealProof)
  );
}

function parseEntry(content: string, path: string): IndexEntry {
  const value = parseObject(content, path);
  checkFormat(value, FORMAT_VERSION, path);
  const base = fieldsOf(value.base);
  const checks: [string, boolean][] = [
    ['seal', isDigest(value.seal)],
    ['tag', isTag(value.tag)],
    ['name', text(value.name)],
    ['version', textOrNull(value.version)],
    ['imageId', text(value.imageId)],
    ['inputs', isDigest(value.inputs)],
    ['base.image', text(base.image)],
    ['base.digest', isDigest(base.digest)],
    ['base.manifestDigest', isDigest(base.manifestDigest)],
    ['base.version', textOrNull(base.version)],
    ['createdAt', text(value.createdAt)],
    ['pushed', isAbsentOr(value.pushed, isPushedSeal)],
    ['signatures', isAbsentOr(value.signatures, isSealProof)],
    ['build', value.build === undefined || isBuildFacts(value.build)],
    ['lockedIn', value.lockedIn === undefined || text(value.lockedIn)],
    ['isAdHoc', value.isAdHoc === undefined || value.isAdHoc === true],
    ['rebasedFrom', value.rebasedFrom === undefined || isDigest(value.rebasedFrom)],
    ['origin', value.origin === undefined || isOrigin(value.origin)],
  ];
  const wrong = checks.find(([, good]) => !good)?.[0];
  if (wrong !== undefined) throw invalid(path, wrong);
  return value as unknown as IndexEntry;
}

function invalid(path: string, field: string): SjsError {
  return invalidFile(
    path,
    `is not an entry of the index: its ${field} is missing or wrong`,
    'remove the file and build the sandbox again',
  );
}

/** `<hex>.json` for a digest; `STORE_INVALID` for what is none. */
export function fileName(key: Digest): string {
  if (!isDigest(key)) throw invalidFile(JSON.stringify(key), 'is not a digest');
  return `${hexOf(key)}.json`;
}
