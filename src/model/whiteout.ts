/**
 * Whether a name in a layer means that another is gone (OCI image spec, whiteouts). A builder lays such a file in as it is,
 * and every engine that unpacks the layer later removes what it names: the same seal, and other files.
 */
export const isWhiteout = (name: string): boolean => name.startsWith('.wh.');
