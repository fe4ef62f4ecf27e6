/** The name of a Python project as an index has it (PEP 503): however it is written, it is the same. */
export const normalizeProject = (name: string): string => name.replace(/[-_.]+/g, '-').toLowerCase();

/** What the file name of a wheel says (PyPA, binary distribution format). */
export interface WheelName {
  /** The beginning, which its `.dist-info` and `.data` folders have too: `PyYAML-6.0.1`. */
  readonly stem: string;
  /** As an index has it. */
  readonly project: string;
  readonly version: string;
  /** Number of the build, which tells wheels of one version apart; 0 for none. */
  readonly build: number;
  /** Tags of Pythons, ABIs and platforms; it is for each combination. */
  readonly pythons: readonly string[];
  readonly abis: readonly string[];
  readonly platforms: readonly string[];
}

const WHEEL =
  /^(([A-Za-z0-9][A-Za-z0-9._]*)-([A-Za-z0-9][A-Za-z0-9._!+]*))(?:-(\d{1,9})[A-Za-z0-9._]*)?-([A-Za-z0-9._]+)-([A-Za-z0-9._]+)-([A-Za-z0-9._]+)\.whl$/;

/** Null for what is no name of a wheel. */
export function parseWheelName(file: string): WheelName | null {
  if (file.length > 255) return null;
  const found = WHEEL.exec(file);
  if (found === null) return null;
  const [, stem = '', project = '', version = '', build = '0', pythons = '', abis = '', platforms = ''] =
    found;
  return {
    stem,
    project: normalizeProject(project),
    version,
    build: Number(build),
    pythons: pythons.split('.'),
    abis: abis.split('.'),
    platforms: platforms.split('.'),
  };
}

/** The folder of site-packages in which a package says who it is. */
export const infoFolder = ({ stem }: Pick<WheelName, 'stem'>): string => `${stem}.dist-info`;

/** The project whose folder that is, as an index has it; null for any other folder. */
export function projectOfInfo(folder: string): string | null {
  const [, project] = /^([A-Za-z0-9][\w.]*)-[^-]+\.dist-info$/.exec(folder) ?? [];
  return project === undefined ? null : normalizeProject(project);
}

/**
 * Where a file of a wheel lies in site-packages; null for what is not laid in: scripts, headers, and data for other places.
 * @param info see {@link infoFolder}
 */
export function placeInSite(path: string, info: string): string | null {
  const data = `${info.replace(/\.dist-info$/, '.data')}/`;
  if (!path.startsWith(data)) return path;
  const [, rest] = /^(?:purelib|platlib)\/(.+)$/s.exec(path.slice(data.length)) ?? [];
  return rest ?? null;
}

/** What a RECORD cannot have: itself and its signatures. */
export const signaturesIn = (info: string): readonly string[] =>
  ['RECORD', 'RECORD.jws', 'RECORD.p7s'].map((name) => `${info}/${name}`);

/** A path and a hash have less. */
const LONGEST_LINE = 8192;

/** The files that a RECORD names, with what they hash to (`sha256=…`; '' for none); null for what cannot be read. */
export function parseRecord(text: string): ReadonlyMap<string, string> | null {
  const files = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    if (line === '') continue;
    if (line.length > LONGEST_LINE) return null;
    // CSV: a path with a comma or a quote in it is quoted.
    const found = /^(?:"((?:[^"]|"")*)"|([^",]*)),([^,]*),(\d*)$/.exec(line);
    if (found === null) return null;
    const [, quoted, plain = '', hash = ''] = found;
    files.set(quoted?.replaceAll('""', '"') ?? plain, hash);
  }
  return files;
}

/** The fields of a METADATA or a WHEEL: names in lower case, each with all its values. What follows them is left out. */
export function parseMetadata(text: string): ReadonlyMap<string, readonly string[]> {
  const fields = new Map<string, string[]>();
  for (const line of text.split(/\r?\n/)) {
    if (line === '') break;
    const end = line.indexOf(':');
    const name = line.slice(0, Math.max(0, end));
    if (!/^[A-Za-z][A-Za-z-]{0,99}$/.test(name)) continue;
    const [key, value] = [name.toLowerCase(), line.slice(end + 1).trim()];
    const values = fields.get(key);
    if (values) values.push(value);
    else fields.set(key, [value]);
  }
  return fields;
}
