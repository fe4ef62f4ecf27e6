/** How CycloneDX says of a package in the node_modules of a tarball that the lockfile does not know it. */
export const UNLOCKED = { name: 'sjs:lockfile', value: 'absent' } as const;

/** How SPDX does, behind where it is bundled. */
export const UNLOCKED_END = ', absent from the lockfile';
