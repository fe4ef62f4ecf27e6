// A host process that is killed: `node pool-child.mjs TAG`, with SJS_HOME and SJS_POLICY in the environment. Opens a pool
// and calls without end; says `opened` and then a dot for each call. With `once` behind the tag it makes one call, and kills
// itself with the answer.
import { createPool } from 'sjs';

const pool = await createPool({ target: process.argv[2], size: 2, max: 4, queueTimeoutMs: 300_000 });
process.stdout.write('opened\n');
if (process.argv[3] === 'once') {
  await pool.call('work', [200]);
  process.kill(process.pid, 'SIGKILL');
}
for (;;) {
  const { outcome } = await pool.call('work', [20]);
  process.stdout.write(outcome === 'result' ? '.' : outcome);
}
