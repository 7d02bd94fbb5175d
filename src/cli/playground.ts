/** `fulgurite playground`: hands over to the four nodes. */
import type { Io } from './output.ts';

export interface PlaygroundOptions {
  readonly data?: string;
  readonly once?: boolean;
  readonly json?: boolean;
  readonly verbose?: boolean;
  readonly port: number;
}

/** The nodes are only loaded for those who play: an audit needs none of them. */
export async function playgroundCommand({ data, once = false, json = false, verbose = false, port }: PlaygroundOptions, io: Io): Promise<number> {
  const { runPlayground } = await import('../playground/run.ts');
  return runPlayground({ dataDir: data, once, json, verbose, port, io });
}
