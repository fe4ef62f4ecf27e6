import { makeFolder, runSjs, sandboxYaml, type ProcessResult } from './world.js';

/** What `sjs call --json` prints, as far as tests read it. */
export interface Called {
  readonly id: string;
  readonly tag: string;
  readonly state: string;
  readonly exitCode: number | null;
  readonly outcome: string;
  readonly value?: unknown;
  readonly error?: { readonly name: string; readonly message: string; readonly stack: string };
  readonly call: { readonly export: string; readonly answer: { readonly digest: string } | null };
  readonly output: { readonly stdout: string; readonly stderr: string };
}

/** A sealed program whose functions a test calls. */
export interface Functions {
  readonly home: string;
  readonly tag: string;
  /** `sjs call` with words after the tag. */
  sjs(words: readonly string[], options?: Parameters<typeof runSjs>[2]): Promise<ProcessResult>;
  /** The same with arguments as values, and what `--json` prints; with the exit status. */
  call(name: string, args?: readonly unknown[], ...flags: string[]): Promise<Called & { status: number }>;
}

/** Seals a module with those rights. */
export async function sealFunctions(
  home: string,
  name: string,
  source: string,
  spec = '',
): Promise<Functions> {
  const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml(name, spec), 'index.js': source });
  const built = await runSjs(home, ['build', folder, '--json']);
  if (built.code !== 0) throw new Error(built.stdout + built.stderr);
  const { tag } = JSON.parse(built.stdout) as { tag: string };
  const sjs: Functions['sjs'] = (words, options) => runSjs(home, ['call', tag, ...words], options);
  return {
    home,
    tag,
    sjs,
    async call(called, args = [], ...flags) {
      const words = [called, ...args.map((one) => JSON.stringify(one))];
      const { code, stdout, stderr } = await sjs([...flags, '--json', '--', ...words]);
      try {
        return { ...(JSON.parse(stdout) as Called), status: code };
      } catch {
        throw new Error(`sjs call ${called}: ${code} ${stdout} ${stderr}`);
      }
    },
  };
}
