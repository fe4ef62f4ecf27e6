import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';

/** CycloneDX's own schema of 1.6, as its library ships it. */
export function cycloneDxSchema(): ValidateFunction {
  const read = (name: string): object =>
    JSON.parse(
      readFileSync(join('node_modules/@cyclonedx/cyclonedx-library/res/schema', name), 'utf8'),
    ) as object;
  const ajv = new Ajv({ strict: false, allErrors: true });
  addFormats.default(ajv);
  // Of JSON Schema 2019; here they have no more to say than `uri-reference` and `email`.
  ajv.addFormat('iri-reference', true).addFormat('idn-email', true);
  for (const name of ['spdx', 'jsf-0.82', 'cryptography-defs']) {
    const schema = read(`${name}.SNAPSHOT.schema.json`);
    ajv.addSchema(schema, `http://cyclonedx.org/schema/${name}.SNAPSHOT.schema.json`);
  }
  return ajv.compile(read('bom-1.6.SNAPSHOT.schema.json'));
}
