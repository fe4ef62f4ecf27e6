import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { ZipFile } from 'yazl';

/** A wheel: its file name and its bytes. */
export interface Wheel {
  readonly file: string;
  readonly bytes: Buffer;
}

/** What is not as everywhere. */
export interface WheelOptions {
  /** Behind name and version. */
  readonly tags?: string;
  /** More lines of METADATA. */
  readonly metadata?: readonly string[];
  /** Takes the place of what would be there by itself; null for a file that is missing. */
  readonly instead?: Readonly<Record<string, string | null>>;
  /** Files that no RECORD has. */
  readonly unrecorded?: Readonly<Record<string, string>>;
  /** Modes, of files that are not 0644. */
  readonly modes?: Readonly<Record<string, number>>;
}

/** A wheel as a build tool makes it. */
export async function makeWheel(
  name: string,
  version: string,
  files: Readonly<Record<string, string | Buffer>>,
  { tags = 'py3-none-any', metadata = [], instead = {}, unrecorded = {}, modes = {} }: WheelOptions = {},
): Promise<Wheel> {
  const stem = `${name.replace(/[-.]/g, '_')}-${version}`;
  const info = `${stem}.dist-info`;
  const recorded: Record<string, string | Buffer | null> = {
    ...files,
    [`${info}/METADATA`]: [
      'Metadata-Version: 2.1',
      `Name: ${name}`,
      `Version: ${version}`,
      ...metadata,
      '',
    ].join('\n'),
    [`${info}/WHEEL`]: `Wheel-Version: 1.0\nGenerator: sjs-test\nRoot-Is-Purelib: true\nTag: ${tags}\n`,
    ...instead,
  };
  const lines = Object.entries(recorded).flatMap(([path, content]) => {
    if (content === null) return [];
    const hash = createHash('sha256').update(content).digest('base64url');
    return [
      `${/[,"]/.test(path) ? `"${path.replaceAll('"', '""')}"` : path},sha256=${hash},${content.length}`,
    ];
  });
  const all = {
    ...recorded,
    ...unrecorded,
    [`${info}/RECORD`]: instead[`${info}/RECORD`] ?? [...lines, `${info}/RECORD,,`, ''].join('\n'),
  };
  const zip = new ZipFile();
  for (const [path, content] of Object.entries(all)) {
    if (content === null) continue;
    const options = { mtime: new Date(315_532_800_000), mode: modes[path] ?? 0o100644 };
    zip.addBuffer(Buffer.from(content), path, options);
  }
  zip.end();
  return { file: `${stem}-${tags}.whl`, bytes: await buffer(zip.outputStream) };
}

export const sha256Of = ({ bytes }: Pick<Wheel, 'bytes'>): string =>
  createHash('sha256').update(bytes).digest('hex');

/** A line of a requirements.txt. */
export const pin = (spec: string, ...wheels: readonly Pick<Wheel, 'bytes'>[]): string =>
  [spec, ...wheels.map((wheel) => `    --hash=sha256:${sha256Of(wheel)}`)].join(' \\\n') + '\n';

/** A tiny package index on loopback. */
export interface TestIndex {
  /** As pip is told it. */
  readonly url: string;
  /** Paths that were asked for. */
  readonly seen: string[];
  /** What `authorization` said, request by request. */
  readonly authorizations: (string | undefined)[];
  /** Wheels by project, as an index names it. */
  readonly projects: Map<string, Wheel[]>;
  /** Whether its lists are JSON (PEP 691), and not pages (PEP 503). */
  isJson: boolean;
  /** Answers in the place of all that, while it is there. */
  answer: RequestListener | null;
  add(project: string, ...wheels: readonly Wheel[]): void;
  close(): Promise<void>;
}

export async function startIndex(): Promise<TestIndex> {
  const projects = new Map<string, Wheel[]>();
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '');
    index.seen.push(path);
    index.authorizations.push(request.headers.authorization);
    if (index.answer) return index.answer(request, response);
    const [, project = ''] = /^\/simple\/([^/]+)\/$/.exec(path) ?? [];
    const wheels = projects.get(project);
    const [, file] = /^\/files\/(.+)$/.exec(path) ?? [];
    const found = [...projects.values()].flat().find((wheel) => wheel.file === file);
    if (found) return response.end(found.bytes);
    if (!wheels) return response.writeHead(404).end('no such thing');
    const listed = wheels.map((wheel) => ({ ...wheel, sha256: sha256Of(wheel) }));
    if (index.isJson) {
      response.setHeader('content-type', 'application/vnd.pypi.simple.v1+json');
      const files = listed.map((one) => ({
        filename: one.file,
        url: `../../files/${one.file}`,
        hashes: { sha256: one.sha256 },
      }));
      return response.end(JSON.stringify({ meta: { 'api-version': '1.0' }, name: project, files }));
    }
    response.setHeader('content-type', 'text/html');
    const links = listed.map(
      (one) => `<a href="../../files/${one.file}#sha256=${one.sha256}">${one.file}</a><br>`,
    );
    response.end(`<!DOCTYPE html><html><body>${links.join('\n')}</body></html>`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const index: TestIndex = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple`,
    seen: [],
    authorizations: [],
    projects,
    isJson: false,
    answer: null,
    add: (project, ...wheels) => projects.set(project, [...(projects.get(project) ?? []), ...wheels]),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return index;
}
