import react from '@vitejs/plugin-react';
import { fileURLToPath } from 'node:url';
import { type Plugin, defineConfig } from 'vite';

// What the renderer evaluates goes through the pages' own door to FHIRPath, which parses once.
const expressions = fileURLToPath(new URL('src/form/expressions.ts', import.meta.url));
// The fonts that the renderer brings are left out: the pages use those of the machine, and ask no network.
const without = /^@fontsource\//;

// What each page needs beside the entry: its HTML names it, so that it is fetched before any script runs.
const pages = {
  note: ['/src/note/page.tsx', '/src/note/editor.tsx'],
  survey: ['/src/survey/page.tsx'],
  integrator: ['/src/integrator/page.tsx']
};

/** Write an HTML file for each page, which is index.html with the page's own chunks and styles named. */
function heads(): Plugin {
  return {
    name: 'heads',
    generateBundle: {
      order: 'post',
      handler(_, bundle) {
        const index = bundle['index.html'];
        if (index?.type !== 'asset') {
          throw new Error('there is no index.html to begin with');
        }
        const html = String(index.source);
        for (const [page, modules] of Object.entries(pages)) {
          const [scripts, styles] = [new Set<string>(), new Set<string>()];
          const take = (name: string): void => {
            const chunk = bundle[name];
            if (chunk?.type === 'chunk' && !scripts.has(name)) {
              scripts.add(name);
              chunk.viteMetadata?.importedCss.forEach((style) => styles.add(style));
              chunk.imports.forEach(take);
            }
          };
          for (const each of modules) {
            const found = Object.values(bundle).find(
              (chunk) => chunk.type === 'chunk' && chunk.facadeModuleId?.endsWith(each)
            );
            if (!found) {
              throw new Error(`there is no chunk of ${each}`);
            }
            take(found.fileName);
          }
          const links = [
            ...[...scripts].map((name) => ['modulepreload', name]),
            ...[...styles].map((name) => ['stylesheet', name])
          ]
            .filter(([, name]) => !html.includes(`/${name}"`))
            .map(([rel, name]) => `<link rel="${rel}" crossorigin href="/${name}">`);
          const source = html.replace('</head>', `  ${links.join('\n    ')}\n  </head>`);
          this.emitFile({ type: 'asset', fileName: `${page}.html`, source });
        }
      }
    }
  };
}

export default defineConfig({
  plugins: [
    react(),
    heads(),
    {
      name: 'parsed-once',
      enforce: 'pre',
      resolveId: (id, importer) =>
        id === 'fhirpath' && importer !== expressions ? expressions : undefined
    },
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
