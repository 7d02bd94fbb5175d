/** An auditor's browser reads an exported bundle, and finds what Node finds: nothing wrong, or the place. */
import { beforeAll, describe, expect, it } from 'vitest';
import type * as bundle from '../../src/events/bundle.ts';
import type * as audit from '../../src/projections/audit.ts';
import * as bundleHere from '../../src/events/bundle.ts';
import * as auditHere from '../../src/projections/audit.ts';
import { bundleForBrowser, runInBrowser } from './bundle.ts';
import { sampleBundle } from './sample-bundle.ts';

interface Auditor {
  readonly bundle: typeof bundle;
  readonly audit: typeof audit;
}

/** What a page would do with a file dropped on it. */
async function auditText({ bundle, audit }: Auditor, text: string): Promise<audit.AuditReport> {
  const lines: audit.LogLine[] = [];
  for await (const line of bundle.readBundle([text])) if (line.kind !== 'header') lines.push(line);
  return audit.auditLog({ lines });
}

const here: Auditor = { bundle: bundleHere, audit: auditHere };

describe('an audit in a browser', () => {
  let browser: Auditor;
  let text: string;
  let entries: readonly string[];

  beforeAll(async () => {
    const script = await bundleForBrowser({ bundle: 'src/events/bundle.ts', audit: 'src/projections/audit.ts' });
    browser = runInBrowser<Auditor>(script);
    ({ text, entries } = await sampleBundle());
  });

  it('verifies an honest log', async () => {
    const report = await auditText(browser, text);
    expect(report).toMatchObject({ ok: true, events: entries.length, checkpoints_verified: 1, failures: [] });
  });

  it('answers what Node answers', async () => {
    expect(plain(await auditText(browser, text))).toBe(plain(await auditText(here, text)));
  });

  it('names the place of a changed amount', async () => {
    const forged = text.replace('"amount_msat":"1000"', '"amount_msat":"9000"');
    const report = await auditText(browser, forged);
    expect(report.ok).toBe(false);
    expect(plain(report)).toBe(plain(await auditText(here, forged)));
  });

  it('finds two events swapped', async () => {
    const [, second, third] = entries as [string, string, string];
    const report = await auditText(browser, text.replace(`${second}\n${third}`, `${third}\n${second}`));
    expect(report.ok).toBe(false);
  });

  it('finds the last event cut', async () => {
    const cut = text.replace(`${entries.at(-1)}\n`, '').replace(`"size":${entries.length}`, `"size":${entries.length - 1}`);
    const report = await auditText(browser, cut);
    expect(report.ok).toBe(false);
  });
});

/** Values of another realm compare as text. */
const plain = (value: unknown): string => JSON.stringify(value, (_key, field: unknown) => (typeof field === 'bigint' ? `${field}n` : field), 1);
