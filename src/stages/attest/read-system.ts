import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { cleanText } from '../../model/clean-text.js';
import type { NodeProgram, SystemContents, SystemPackage } from '../../model/image-contents.js';
import { OWN_FOLDERS } from '../../model/own-files.js';

/** Where package managers keep what they installed; Distroless has one file a package. */
const DPKG = /^var\/lib\/dpkg\/(?:status|status\.d\/(?!.*\.md5sums$)[^/]+)$/;
const APK = /^(?:usr\/)?lib\/apk\/db\/installed$/;
const RELEASE = /^(?:etc|usr\/lib)\/os-release$/;
/** Runtimes that no package manager need have put there, and what in the program itself says its version. */
const RUNTIMES = [
  {
    name: 'node',
    path: /(?:^|\/)node(?:js)?$/,
    // The address of its own headers, in a Node of nodejs.org.
    version: /https:\/\/nodejs\.org\/download\/release\/v(\d{1,3}\.\d{1,3}\.\d{1,3})\//,
  },
  { name: 'deno', path: /(?:^|\/)deno$/, version: /Deno\/(\d{1,3}\.\d{1,3}\.\d{1,3})\+/ },
  { name: 'bun', path: /(?:^|\/)bun$/, version: /Bun v(\d{1,3}\.\d{1,3}\.\d{1,3}) \(/ },
] as const;
const MOST_TEXT_BYTES = 64 * 1024 ** 2;
const LEAST_RUNTIME_BYTES = 1024 ** 2;

/** What a base says that it has in it, from a tar of the root file system of an image over it. */
export async function readSystem(tar: Readable): Promise<SystemContents> {
  const releases = new Map<string, string>();
  const packages: SystemPackage[] = [];
  const nodes: NodeProgram[] = [];
  let room = MOST_TEXT_BYTES;
  const entries = extract();
  tar.on('error', (error) => entries.destroy(error));
  tar.pipe(entries);
  for await (const entry of entries) {
    const { name, type, size = 0 } = entry.header;
    const path = name.replace(/^\.?\//, '');
    const content = entry as AsyncIterable<Uint8Array>;
    const runtime = RUNTIMES.find((one) => one.path.test(path));
    const wanted = [DPKG, APK, RELEASE].find((pattern) => pattern.test(path));
    if (type !== 'file' || isOver(path)) entry.resume();
    else if (wanted && size <= room) {
      room -= size;
      const text = await readText(content);
      if (wanted === RELEASE) releases.set(path, text);
      else packages.push(...(wanted === DPKG ? parseDpkg(text) : parseApk(text)));
    } else if (runtime && size >= LEAST_RUNTIME_BYTES) {
      const found = await readRuntime(content, runtime.version);
      const { name: program } = runtime;
      if (found) nodes.push({ path: `/${path}`, ...found, ...(program !== 'node' && { name: program }) });
    } else entry.resume();
  }
  return {
    distribution: parseRelease(releases.get('etc/os-release') ?? releases.get('usr/lib/os-release') ?? ''),
    packages: [...new Map(packages.map((one) => [keyOf(one), one]))]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, one]) => one),
    nodes: nodes.sort((a, b) => (a.path < b.path ? -1 : 1)),
  };
}

/** What lies over a base is its author's: it would be said of every other image over the same base. */
const isOver = (path: string): boolean => OWN_FOLDERS.includes(path.split('/', 1)[0] ?? '');

const keyOf = ({ manager, name, version, architecture }: SystemPackage): string =>
  [name, architecture, version, manager].join(' ');

async function readText(content: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

/** The digest of a program, and the version that it says it is; null when it says none. */
async function readRuntime(
  content: AsyncIterable<Uint8Array>,
  own: RegExp,
): Promise<Omit<NodeProgram, 'path' | 'name'> | null> {
  const hash = createHash('sha256');
  let version: string | undefined;
  let end = '';
  for await (const chunk of content) {
    hash.update(chunk);
    if (version !== undefined) continue;
    const text = end + Buffer.from(chunk).toString('latin1');
    version = own.exec(text)?.[1];
    end = text.slice(-100);
  }
  return version === undefined ? null : { version, digest: `sha256:${hash.digest('hex')}` };
}

/** The fields of each paragraph; lines that go on from the one before are left out. */
function* paragraphs(text: string): Generator<ReadonlyMap<string, string>> {
  for (const paragraph of text.split(/\n[\t ]*\n/)) {
    const fields = new Map<string, string>();
    for (const line of paragraph.split('\n')) {
      const colon = /^\s/.test(line) ? -1 : line.indexOf(':');
      if (colon > 0) fields.set(line.slice(0, colon), cleanText(line.slice(colon + 1)));
    }
    yield fields;
  }
}

function* parseDpkg(text: string): Generator<SystemPackage> {
  for (const fields of paragraphs(text)) {
    const [name, version] = [fields.get('Package'), fields.get('Version')];
    const isInstalled = /^\S+ \S+ installed$/.test(fields.get('Status') ?? 'install ok installed');
    if (!name || !version || !isInstalled) continue;
    const architecture = fields.get('Architecture') ?? 'all';
    yield { manager: 'deb', name, version, architecture, licence: null };
  }
}

function* parseApk(text: string): Generator<SystemPackage> {
  for (const fields of paragraphs(text)) {
    const [name, version] = [fields.get('P'), fields.get('V')];
    if (!name || !version) continue;
    yield {
      manager: 'apk',
      name,
      version,
      architecture: fields.get('A') ?? 'noarch',
      licence: fields.get('L') || null,
    };
  }
}

function parseRelease(text: string): SystemContents['distribution'] {
  const field = (name: string): string | undefined => {
    const found = new RegExp(`^${name}=(["']?)(.*)\\1\\s*$`, 'm').exec(text)?.[2];
    return found === undefined ? undefined : cleanText(found);
  };
  const id = field('ID');
  return id ? { id, version: field('VERSION_ID') || null } : null;
}
