import { HomeFolder } from './home-folder.js';

const FOLDER = 'gateway';

/**
 * Puts the gateway's program into a folder of SJS_HOME, where its lock may lie beside it, and returns the folder.
 * @throws SjsError `STORE_FAILED`, `DISK_FULL`
 */
export async function placeGateway(path: string, file: string, program: Uint8Array): Promise<string> {
  const home = new HomeFolder(path);
  home.check();
  const found = await home.read(FOLDER, file);
  if (found === null || !found.equals(program)) await home.write(FOLDER, file, program);
  return home.at(FOLDER);
}
