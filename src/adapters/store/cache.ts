import { SjsError } from '../../errors.js';
import type { Digest } from '../../model/digest.js';
import type { HomeFolder } from './home-folder.js';
import { fileName } from './images.js';

/** Findings about immutable content in `cache/<kind>/<hex>.json`. What cannot be read was never found. */
export class CacheFiles {
  private readonly home: HomeFolder;

  constructor(home: HomeFolder) {
    this.home = home;
  }

  async read(kind: string, key: Digest): Promise<unknown> {
    this.home.check();
    const content = await this.home.read(cacheFolder(kind), fileName(key));
    try {
      return content && (JSON.parse(content.toString()) as unknown);
    } catch {
      return null;
    }
  }

  async write(kind: string, key: Digest, value: unknown): Promise<void> {
    await this.home.write(cacheFolder(kind), fileName(key), JSON.stringify(value));
  }
}

function cacheFolder(kind: string): string {
  if (!/^[a-z0-9-]{1,64}$/.test(kind)) {
    throw new SjsError('STORE_FAILED', `${JSON.stringify(kind)} is no kind of cache`);
  }
  return `cache/${kind}`;
}
