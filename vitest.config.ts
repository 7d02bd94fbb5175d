/** Two projects: stories with a short patience, properties with a long one. Both print a seed when they fail. */
import { defineConfig } from 'vitest/config';

const shared = { setupFiles: ['test/support/setup.ts'], pool: 'forks' } as const;

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...shared,
          name: 'stories',
          include: ['test/**/*.test.ts'],
          exclude: ['test/property/**'],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
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
