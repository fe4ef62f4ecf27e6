/** What sjs tells a gateway, as JSON in its last argument. */
export interface Config {
  /** Its own address on the run's network, and the sandbox's. */
  readonly inside: string;
  readonly sandbox: string;
  /** Public addresses of the machine, where no name may lead. */
  readonly host: readonly string[];
  readonly egress: readonly {
    readonly name: string;
    readonly port: number;
    readonly address: string | null;
  }[];
  /** Ports of the sandbox that are published. */
  readonly ports: readonly number[];
  /** Connections told at most. */
  readonly most: number;
}
