import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { constants, gzipSync } from 'node:zlib';
import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

/** Beside each file its gzip, so that the server compresses nothing while it answers. After all else: other plugins still change code. */
function precompressed(): Plugin {
  return {
    name: 'precompressed',
    apply: 'build',
    writeBundle({ dir }, bundle) {
      for (const name of Object.keys(bundle).filter((file) => /\.(js|css|svg)$/.test(file))) {
        const source = readFileSync(join(dir ?? 'dist', name));
        const zipped = gzipSync(source, { level: constants.Z_BEST_COMPRESSION });
        if (zipped.length < source.length) writeFileSync(join(dir ?? 'dist', `${name}.gz`), zipped);
      }
    },
  };
}

/** While developing, pages are at the root. */
function rooted(command: string): Plugin {
  return { name: 'rooted', transformIndexHtml: (html) => (command === 'serve' ? html.replace('__BASE__', '/') : html) };
}

/** `make ui` puts the client and the built files elsewhere when it is told to; the server replaces both placeholders in each answer. */
export default defineConfig(({ command }) => ({
  base: './',
  plugins: [react(), precompressed(), rooted(command)],
  resolve: { alias: { '~': fileURLToPath(new URL('src', import.meta.url)) } },
  html: command === 'build' ? { cspNonce: '__NONCE__' } : {},
  build: {
    target: 'es2022',
    outDir: 'dist',
    emptyOutDir: false,
    sourcemap: false,
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
  },
  server: {
    // `streamspace dev` beside it: STREAMSPACE_URL=http://localhost:8080 npm run dev
    proxy: Object.fromEntries(
      ['/api', '/ui', '/docs', '/problems'].map((path) => [path, { target: process.env.STREAMSPACE_URL ?? 'http://localhost:8080', changeOrigin: false }]),
    ),
  },
  test: { include: ['tests/unit/**/*.test.ts'], environment: 'node' },
}));
