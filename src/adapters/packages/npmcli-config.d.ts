declare module '@npmcli/config' {
  /** As far as it is used here. */
  export default class Config {
    constructor(options: {
      readonly definitions: object;
      readonly shorthands: object;
      readonly flatten: unknown;
      readonly npmPath: string;
      readonly env: NodeJS.ProcessEnv;
      readonly argv: readonly string[];
      readonly cwd: string;
      readonly warn: boolean;
    });
    load(): Promise<void>;
    readonly flat: Readonly<Record<string, unknown>>;
  }
}

declare module '@npmcli/config/lib/definitions/index.js' {
  const definitions: {
    readonly definitions: { readonly registry: { readonly default: string } };
    readonly shorthands: object;
    readonly flatten: unknown;
  };
  export default definitions;
}
