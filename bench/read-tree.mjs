// read-tree.mjs FOLDER: opens, reads and closes each file below a folder, and does nothing with it.
import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';

const buffer = Buffer.alloc(64 * 1024);
for (const entry of readdirSync(process.argv[2], { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue;
  const file = openSync(join(entry.parentPath, entry.name));
  while (readSync(file, buffer) > 0);
  closeSync(file);
}
