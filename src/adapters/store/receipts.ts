import { isUlid } from '../../model/ulid.js';
import type { HomeFolder } from './home-folder.js';
import { invalidFile } from './store-error.js';

const FOLDER = 'receipts';
const SUFFIX = '.json';

/** Signed receipts in `receipts/<ULID>.json`. */
export class ReceiptFiles {
  private readonly home: HomeFolder;

  constructor(home: HomeFolder) {
    this.home = home;
  }

  async save(runId: string, text: string): Promise<void> {
    await this.home.write(FOLDER, fileName(runId), text);
  }

  async read(runId: string): Promise<string | null> {
    this.home.check();
    return (await this.home.read(FOLDER, fileName(runId)))?.toString() ?? null;
  }

  list(): readonly string[] {
    return this.home
      .list(FOLDER)
      .filter((name) => name.endsWith(SUFFIX))
      .map((name) => name.slice(0, -SUFFIX.length))
      .filter(isUlid);
  }

  async remove(runId: string): Promise<void> {
    await this.home.remove(FOLDER, fileName(runId));
  }
}

function fileName(runId: string): string {
  if (!isUlid(runId)) throw invalidFile(JSON.stringify(runId), 'is not the id of a run');
  return `${runId}${SUFFIX}`;
}
