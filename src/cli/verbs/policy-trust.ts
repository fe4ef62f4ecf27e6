import { formatTable } from '../table.js';
import { cleanLine } from '../terminal.js';
import type { Verb } from '../verb.js';

/** `sjs policy trust`: writes a ready entry into the operator's policy. */
export const policyTrustVerb: Verb = {
  examples: [
    ['sjs policy trust', 'the publishers that sjs has an entry for'],
    ['sjs policy trust chainguard', "trust Chainguard's Node image, in your policy"],
    ['sjs policy trust distroless --policy ops.yaml', 'in another policy file'],
  ],
  usage: '[name]',
  positionals: [0, 1],
  async run(input, { sjs, output }) {
    const [name] = input.positionals;
    if (name === undefined) {
      const publishers = await sjs.listPublishers();
      if (output.json) await output.printJson(publishers);
      else
        await output.print(
          await formatTable(
            ['name', 'images', 'page'],
            publishers.map((one) => [one.name, one.repositories.join(', '), one.page]),
          ),
        );
      return 0;
    }
    const trusted = await sjs.trustPublisher(name);
    if (output.json) await output.printJson(trusted);
    else {
      const where = cleanLine(trusted.policyFile);
      await output.print(
        `${trusted.title}: ${trusted.repositories.join(', ')} ${trusted.isNew ? `is trusted now, by ${where}` : `was trusted already, by ${where}`}`,
      );
      await output.print(`  who signs: ${trusted.page}`);
      await output.print(`  tried: ${trusted.tried}`);
      await output.print(`  next: ${trusted.next}`);
    }
    return 0;
  },
};
