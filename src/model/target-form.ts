/** What a target's form says it is (SPEC §7): never what happens to exist. */
export type TargetForm = 'stdin' | 'path' | 'image' | 'tag' | 'seal' | 'name';

/** The form of a target given on the command line. */
export function targetForm(target: string): TargetForm {
  if (target === '-') return 'stdin';
  if (/.@sha256:[0-9a-f]{64}$/.test(target)) return 'image';
  if (target.startsWith('sjs/')) return 'tag';
  if (
    target.includes('/') ||
    target.startsWith('.') ||
    /\.(?:[cm]?[jt]s|[jt]sx|json|ya?ml|wasm|py)$/.test(target)
  )
    return 'path';
  if (/^(?:sha256:[0-9a-f]{7,64}|[0-9a-f]{7,64})$/.test(target)) return 'seal';
  return target.includes(':') ? 'tag' : 'name';
}

/** Whether a target is a tag, a seal, a name or an image in a registry: what is sealed already. */
export const isSealedTarget = (target: string): boolean => !['stdin', 'path'].includes(targetForm(target));
