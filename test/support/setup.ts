/** Runs before each test file: fast-check takes its seed from the environment, so that a failure can be repeated. */
import fc from 'fast-check';
import { replaySeed, runs } from './property.ts';

fc.configureGlobal({ numRuns: runs(100), verbose: 1, ...(replaySeed === undefined ? {} : { seed: replaySeed }) });
