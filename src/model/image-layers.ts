import type { Digest } from './digest.js';

/** The layer that holds nothing: what an instruction makes that changes no file. */
const EMPTY_LAYER = 'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef';

/** The layers that hold something, from the lowest on. */
export const filledLayers = (diffIds: readonly Digest[]): readonly Digest[] =>
  diffIds.filter((diffId) => diffId !== EMPTY_LAYER);
