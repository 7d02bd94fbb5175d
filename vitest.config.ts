/** Three projects: stories with a short patience, stories of a real chain and properties with a long one. A seed is printed with each failure. */
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

const shared = { setupFiles: ['test/support/setup.ts'], pool: 'forks' } as const;

export default defineConfig({
  test: {
    // The default leaves one core idle; our tests wait for disks, daemons and each other more than they compute.
    maxWorkers: Math.max(2, availableParallelism()),
    projects: [
      {
        test: {
          ...shared,
          name: 'stories',
          include: ['test/**/*.test.ts'],
          exclude: ['test/property/**', 'test/chain/**'],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      { test: { ...shared, name: 'chain', include: ['test/chain/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 120_000 } },
      { test: { ...shared, name: 'property', include: ['test/property/**/*.test.ts'], testTimeout: 300_000 } },
    ],
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      reporter: ['text-summary', 'html', 'json-summary'],
      reportsDirectory: 'coverage',
    },
  },
});
