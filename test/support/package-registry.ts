import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { pack, type Header } from 'tar-stream';

/** An entry of a tarball: its text, or whatever else a header can say. */
export type Content = string | Buffer | (Partial<Header> & { readonly text?: string });

/** A tarball as npm packs it, with the files below `package/`; names that begin with `=` are taken as they are. */
export async function makeTarball(files: Readonly<Record<string, Content>>): Promise<Buffer> {
  const archive = pack();
  for (const [name, content] of Object.entries(files)) {
    const path = name.startsWith('=') ? name.slice(1) : `package/${name}`;
    if (typeof content === 'string' || Buffer.isBuffer(content)) archive.entry({ name: path }, content);
    else {
      const { text, ...header } = content;
      archive.entry({ name: path, ...header }, text ?? '');
    }
  }
  archive.finalize();
  return gzipSync(await buffer(archive));
}

/** The tarball of a package that says who it is. */
export const makePackage = (
  name: string,
  version: string,
  files: Readonly<Record<string, Content>> = {},
  manifest: object = {},
): Promise<Buffer> =>
  makeTarball({ 'package.json': JSON.stringify({ name, version, ...manifest }), 'index.js': '', ...files });

/** What a lockfile says of the bytes. */
export const integrityOf = (tarball: Buffer): string =>
  `sha512-${createHash('sha512').update(tarball).digest('base64')}`;

/** A package.json and its lockfile: `entries` as they stand below `packages`, the root apart. */
export function writeLock(
  dependencies: Readonly<Record<string, string>>,
  entries: Readonly<Record<string, object>>,
  manifest: object = {},
): { readonly 'package.json': string; readonly 'package-lock.json': string } {
  const lock = {
    name: 'job',
    lockfileVersion: 3,
    packages: { '': { name: 'job', dependencies }, ...entries },
  };
  return {
    'package.json': JSON.stringify({ name: 'job', dependencies, ...manifest }),
    'package-lock.json': JSON.stringify(lock, null, 2),
  };
}

/** A tiny npm registry on loopback. */
export interface TestRegistry {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  /** Paths that were asked for. */
  readonly seen: string[];
  /** Puts a tarball where npm looks for it, or takes it away. */
  readonly tarballs: Map<string, Buffer>;
  /** Answers in the place of all that, while it is there. */
  answer: RequestListener | null;
  /** Has a package, and returns its entry in a lockfile. */
  add(
    name: string,
    version: string,
    tarball: Buffer,
  ): { readonly version: string; readonly integrity: string };
  close(): Promise<void>;
}

export async function startRegistry(): Promise<TestRegistry> {
  const tarballs = new Map<string, Buffer>();
  const seen: string[] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '');
    seen.push(path);
    if (registry.answer) return registry.answer(request, response);
    const tarball = tarballs.get(path);
    if (tarball) response.end(tarball);
    else response.writeHead(404, { 'content-type': 'application/json' }).end('{}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const registry: TestRegistry = {
    url,
    seen,
    tarballs,
    answer: null,
    add: (name, version, tarball) => {
      const path = `/${name}/-/${name.slice(name.indexOf('/') + 1)}-${version}.tgz`;
      tarballs.set(path, tarball);
      return { version, integrity: integrityOf(tarball), resolved: `${url}${path}` };
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return registry;
}
