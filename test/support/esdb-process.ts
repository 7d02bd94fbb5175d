/** Our event server in a process of its own, so that it can be stopped and killed as the kernel does it. Run as a program, it is that process. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { openSqliteJournal } from '../../src/adapters/esdb-server/journal-sqlite.ts';
import { startEsdbServer } from '../../src/adapters/esdb-server/server.ts';

export interface ServerProcess {
  readonly url: string;
  readonly port: number;
  signal(name: 'SIGSTOP' | 'SIGCONT'): void;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
}

const here = fileURLToPath(import.meta.url);

/** Starts it over a SQLite file; on a free port unless told. */
export async function startServerProcess(file: string, port = 0): Promise<ServerProcess> {
  const child = spawn(process.execPath, ['--import', 'tsx', here, file, String(port)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const started = JSON.parse(line) as { url: string; port: number };
  return {
    ...started,
    signal: (name) => void child.kill(name),
    async kill() {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}

if (process.argv[1] === here) {
  const [file, port] = process.argv.slice(2) as [string, string];
  const { url, port: bound } = await startEsdbServer({ journal: openSqliteJournal(file), port: Number(port) });
  // Whoever started it has gone when its input ends.
  process.stdin.resume().once('end', () => process.exit());
  console.log(JSON.stringify({ url, port: bound }));
}
