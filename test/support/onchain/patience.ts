/** Waits of stories with many nodes on few cores: long, and still with an end. */
import { until as waitFor, type Missing } from '../../../src/playground/waiting.ts';

const PATIENCE_MS = 150_000;

export const until = (what: string, missing: () => Missing | Promise<Missing>): Promise<void> => waitFor(what, missing, { timeoutMs: PATIENCE_MS, everyMs: 20 });
