// SPDX-License-Identifier: GPL-3.0-or-later

import vue from '@vitejs/plugin-vue'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

// Below /app/ of the Manager, which lets the page load its own files alone: nothing may end up inline.
export default defineConfig({
  base: '/app/',
  plugins: [vue()],
  resolve: { alias: { '@': fileURLToPath(new URL('src', import.meta.url)) } },
  define: { __VUE_OPTIONS_API__: 'false' },
  build: {
    outDir: '../dist',
    emptyOutDir: false, // the page for a clone without a build stays; tools/clean.mjs removes the rest
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2022',
  },
  server: { port: 5173, strictPort: true, hmr: { path: '/app/' } },
  test: { environment: 'happy-dom', include: ['src/**/*.test.ts'], restoreMocks: true },
})
