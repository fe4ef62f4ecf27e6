import { nearest, SjsError } from '../../index.js';
import { complete } from '../complete.js';
import { write } from '../output.js';
import type { Verb } from '../verb.js';

/** Each asks `sjs completion --words` for the candidates, one a line, at the place of the cursor. */
const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `_sjs() {
  local IFS=$'\\n' line words="\${COMP_LINE:0:COMP_POINT}"
  COMPREPLY=()
  # A tag has a colon, at which bash parts words: what stands before it is there already.
  local word="\${words##* }" before=""
  [[ $word == *:* && $COMP_WORDBREAKS == *:* ]] && before="\${word%:*}:"
  while read -r line; do COMPREPLY+=("\${line#"$before"}"); done < <(sjs completion --words "$words" 2>/dev/null)
  [[ \${#COMPREPLY[@]} == 0 ]] && compopt -o default
}
complete -F _sjs sjs
`,
  zsh: `#compdef sjs
_sjs() {
  local -a found
  found=("\${(@f)$(sjs completion --words "\${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null)}")
  if [[ -n "\${found[*]}" ]]; then compadd -Q -- "\${found[@]}"; else _files; fi
}
# In a file of fpath this is the body of the function, which completes already the first time.
if [[ $funcstack[1] == _sjs ]]; then _sjs "$@"; else compdef _sjs sjs; fi
`,
  fish: `function __sjs_words
  sjs completion --words (commandline -cp | string collect) 2>/dev/null
end
complete -c sjs -f -a '(__sjs_words)'
complete -c sjs -n 'not __sjs_words | string length -q' -F
`,
};

/** `sjs completion`. */
export const completionVerb: Verb = {
  examples: [
    ['sjs completion bash >> ~/.bashrc', 'for bash; source <(sjs completion bash) for one shell alone'],
    ['sjs completion zsh > "${fpath[1]}/_sjs"', 'for zsh'],
    ['sjs completion fish > ~/.config/fish/completions/sjs.fish', 'for fish'],
  ],
  usage: '<bash|zsh|fish>',
  positionals: [0, 1],
  options: {
    words: { value: 'LINE', hidden: true, describe: 'what can follow this line: for those scripts' },
  },
  async run(input, { sjs, output }) {
    const line = input.value('words');
    if (line !== undefined) {
      const candidates = await complete(line, sjs);
      if (output.json) await output.printJson(candidates);
      for (const candidate of candidates) await output.print(candidate);
      return 0;
    }
    const [shell = ''] = input.positionals;
    const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
    if (script === undefined) {
      const meant = nearest(shell, Object.keys(SCRIPTS));
      throw new SjsError('USAGE', `there is no completion for the shell ${JSON.stringify(shell)}`, {
        next: meant === undefined ? 'choose bash, zsh or fish' : `did you mean ${meant}?`,
      });
    }
    if (output.json) await output.printJson({ shell, script });
    else await write(output.stdout, script);
    return 0;
  },
};
