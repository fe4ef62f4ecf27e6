import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { isErrno, SjsError } from '../../errors.js';
import { YAML_BYTES } from '../../model/yaml-document.js';

/**
 * Reads a configuration file once, whatever it may turn out to be: a pipe does not block, a device is not read, a link
 * is not followed, and nothing beyond the limit is taken (ATTACKS C09).
 * @throws SjsError `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `FILE_TOO_LARGE`. Contents never appear in an error.
 */
export async function readConfigFile(file: string): Promise<Uint8Array> {
  const handle = await openFile(file);
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) {
      throw new SjsError('FILE_UNREADABLE', `${file} is not a plain file`, {
        location: { file },
        next: 'name the sandbox.yaml or its folder',
      });
    }
    const buffer = Buffer.alloc(YAML_BYTES + 1);
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    if (length > YAML_BYTES) {
      throw new SjsError('FILE_TOO_LARGE', `${file} is larger than 256 KiB`, {
        location: { file },
        next: 'keep data out of it',
      });
    }
    return buffer.subarray(0, length);
  } finally {
    await handle.close();
  }
}

async function openFile(file: string): Promise<FileHandle> {
  try {
    return await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    if (isErrno(cause, 'ENOENT', 'ENOTDIR')) {
      throw new SjsError('FILE_NOT_FOUND', `there is no ${file}`, {
        location: { file },
        next: 'sjs init writes one',
      });
    }
    const why = isErrno(cause, 'ELOOP', 'EMLINK')
      ? 'it is a symbolic link'
      : ((cause as NodeJS.ErrnoException).code ?? 'the system refused');
    throw new SjsError('FILE_UNREADABLE', `${file} cannot be read: ${why}`, {
      cause,
      location: { file },
      next: isErrno(cause, 'ELOOP', 'EMLINK') ? 'put the file itself there' : 'make it readable for you',
    });
  }
}
