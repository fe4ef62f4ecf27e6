import { objectOf, parseManifest, type Manifest } from './package-graph.js';

/** Run by npm when a package of a registry is installed, in this order. */
const EVENTS = ['preinstall', 'install', 'postinstall'] as const;

/**
 * What npm would run at the installation of a package, as it says itself: the name of a script, or `binding.gyp`, for
 * which npm runs node-gyp unasked; null for nothing.
 */
export function installScriptOf(manifest: Manifest, hasGypFile: boolean): string | null {
  const scripts = objectOf(manifest['scripts']);
  const found = EVENTS.find((event) => typeof scripts[event] === 'string' && scripts[event] !== '');
  if (hasGypFile && manifest['gypfile'] !== false && !scripts['install'] && !scripts['preinstall']) {
    return found ?? 'binding.gyp';
  }
  return found ?? null;
}

/** Whether the text of a package.json names an install script. */
export function hasInstallScript(text: string): boolean {
  const manifest = parseManifest(text);
  return manifest !== null && installScriptOf(manifest, false) !== null;
}
