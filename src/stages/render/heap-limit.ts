const MIB = 1024 ** 2;

/** V8's heap limit in MiB: at the memory limit, so that the kernel ends what grows too large. */
export const heapLimit = (memoryBytes: number): number => Math.max(1, Math.floor(memoryBytes / MIB));
