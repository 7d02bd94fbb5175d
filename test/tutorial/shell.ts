/** One shell that a page is typed into: functions, variables and background jobs live from step to step, as for a reader. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';

export interface Shell {
  /** Types a command; answers the lines that it printed, on either output. Rejects after `timeoutMs`. */
  type(command: string, timeoutMs?: number): Promise<readonly string[]>;
  /** Ends the shell and everything that was started in it. */
  end(): Promise<void>;
}

export function openShell(cwd: string, env: NodeJS.ProcessEnv): Shell {
  // A process group of its own, so that what it leaves in the background can be ended with it.
  const bash = spawn('bash', ['--noprofile', '--norc'], { cwd, env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  let printed = '';
  let told = (): void => undefined;
  for (const output of [bash.stdout, bash.stderr]) output.setEncoding('utf8').on('data', (text: string) => ((printed += text), told()));
  bash.on('exit', () => told());
  bash.stdin.write('exec 2>&1\n');

  return {
    async type(command, timeoutMs = 60_000) {
      const mark = `done-${randomUUID()}`;
      printed = '';
      bash.stdin.write(`${command}\nprintf '\\n%s\\n' ${mark}\n`);
      const late = Date.now() + timeoutMs;
      while (!printed.includes(`\n${mark}\n`)) {
        if (Date.now() > late || bash.exitCode !== null) throw new Error(`not done within ${timeoutMs / 1000} s; printed so far:\n${printed}`);
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, 200);
          told = () => (clearTimeout(timer), resolve());
        });
      }
      return printed.slice(0, printed.indexOf(`\n${mark}\n`)).split('\n');
    },
    async end() {
      if (bash.pid === undefined || bash.exitCode !== null) return;
      const gone = new Promise<void>((resolve) => void bash.once('exit', () => resolve()));
      process.kill(-bash.pid, 'SIGKILL');
      await gone;
    },
  };
}
