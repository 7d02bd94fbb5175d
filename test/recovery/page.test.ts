/** docs/BACKUP.md names commands and flags that exist, and codes that the node really says. The stories beside this file do what it tells. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { runCli } from '../support/daemons.ts';

const file = (path: string): string => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');
const page = file('docs/BACKUP.md');
const commands = [...page.matchAll(/^\$ fulgurite (\S+)(.*)$/gm)].map(([, name, rest]) => ({ name: name!, flags: [...rest!.matchAll(/--[a-z-]+/g)].map(([flag]) => flag) }));

describe('docs/BACKUP.md', () => {
  it.each(commands)('$name $flags', async ({ name, flags }) => {
    const { code, out } = await runCli(name, '--help');
    expect(code).toBe(0);
    for (const flag of flags) expect(out).toContain(flag);
  });

  it('shows commands', () => expect(commands.length).toBeGreaterThan(8));

  it.each(['log_behind_marks', 'log_behind_backup', 'data_loss'])('says %s as the code does', (code) => {
    expect(page).toContain(`\`${code}\``);
    expect(file('src/commands/rollback-guard.ts')).toContain(`'${code}'`);
  });

  it('counts as the code does', () => {
    expect(page).toContain('65,531 bytes');
    expect(page).toContain('2,016 blocks');
  });
});
