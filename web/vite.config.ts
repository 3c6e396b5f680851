import { defineConfig } from 'vite';

export default defineConfig({
  base: '/static/',
  logLevel: 'warn',
  build: {
    outDir: '../app/static',
    emptyOutDir: true,
    chunkSizeWarningLimit: 4000, // kB: the editor of GraphiQL is large, and loaded once
    rolldownOptions: { checks: { moduleLevelDirective: false } }, // "use client" of libraries says nothing here
  },
});
