import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// The fonts that the renderer brings are left out: the pages use those of the machine, and ask no network.
const without = /^@fontsource\//;

export default defineConfig({
  plugins: [
    react(),
    {
      name: 'no-fonts',
      enforce: 'pre',
      resolveId: (id) => (without.test(id) ? '\0no-font' : undefined),
      load: (id) => (id === '\0no-font' ? '' : undefined)
    }
  ],
  build: {
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 4000,
    modulePreload: { polyfill: false },
    sourcemap: false
  }
});
