import { defineConfig } from 'vitest/config';

/** Tests in a real chromium, one after the other: they share a server. */
export default defineConfig({
  test: { include: ['tests/e2e/**/*.test.ts'], environment: 'node', testTimeout: 60_000, hookTimeout: 90_000, fileParallelism: false, sequence: { concurrent: false }, bail: process.env.CI ? 0 : 1 },
});
