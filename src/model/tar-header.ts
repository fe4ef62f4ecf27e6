/** The time of everything that sjs packs. */
export const EPOCH = new Date(0);

/** A tar header that says nothing of the machine or the moment it was written in. */
export const plainHeader = (name: string) => ({ name, uid: 0, gid: 0, uname: '', gname: '', mtime: EPOCH });
