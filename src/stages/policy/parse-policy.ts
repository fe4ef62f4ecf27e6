import { realpath } from 'node:fs/promises';
import { sha256 } from '../../model/digest.js';
import { POLICY_SCHEMA } from '../../model/policy-schema.js';
import type { PolicyLayer } from '../../model/policy.js';
import { checkSchema, toError, type ValidTexts } from '../../model/schema-check.js';
import type { Waiver } from '../../model/waiver.js';
import { parseYaml } from '../../model/yaml-document.js';
import { checkMeaning } from './check-meaning.js';
import { toLayer } from './to-layer.js';

/**
 * One policy file as a layer.
 * @throws SjsError `YAML_*`; `POLICY_INVALID` or `NOT_YET` with all problems at once.
 */
export async function parsePolicy(
  bytes: Uint8Array,
  file: string,
  origin: PolicyLayer['origin'],
  valid?: ValidTexts,
): Promise<PolicyLayer> {
  const document = parseYaml(bytes, file);
  const key = sha256(`${origin}\n${sha256(bytes)}`);
  if (await valid?.has(key)) return findFolders(toLayer(document, origin));
  const findings = await checkSchema(document, POLICY_SCHEMA, 'policy');
  // What fits the schema is a policy, whatever the file is called: it is judged to the end, and may be quoted.
  const isOurs = document.mayQuote || findings.problems.length === 0;
  const problems = [...findings.problems, ...(isOurs ? checkMeaning(document, findings, origin) : [])];
  if (problems.length > 0) throw toError(problems, file, 'policy');
  await valid?.add(key);
  return findFolders(toLayer(document, origin));
}

/** The layer with the real paths of the folders that its waivers name; what is not there stays as it is written. */
async function findFolders(layer: PolicyLayer): Promise<PolicyLayer> {
  const waivers = layer.waivers.map(async (waiver): Promise<Waiver> => {
    if (!('folder' in waiver.scope)) return waiver;
    const { folder } = waiver.scope;
    return { ...waiver, scope: { folder: await realpath(folder).catch(() => folder) } };
  });
  return { ...layer, waivers: await Promise.all(waivers) };
}
