import createCache from '@emotion/cache';
import { CacheProvider } from '@emotion/react';
import { Suspense, lazy } from 'react';
import { createRoot } from 'react-dom/client';
import { Front } from './front';
import './style.css';

// Each page is loaded apart: the front page, and a parent's phone, fetch nothing that only a surgeon needs.
const Note = lazy(() => import('./note/page'));
const Survey = lazy(() => import('./survey/page'));
const Integrator = lazy(() => import('./integrator/page'));

const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content;
const cache = createCache({ key: 'csor', nonce: nonce || undefined, prepend: true });

function Page() {
  switch (window.location.pathname) {
    case '/note':
      return <Note />;
    case '/survey':
      return <Survey />;
    case '/integrators':
    case '/scorecard':
      return <Integrator />;
    default:
      return <Front />;
  }
}

const root = document.getElementById('page');
if (root) {
  createRoot(root).render(
    <CacheProvider value={cache}>
      <Suspense
        fallback={
          <p className="waiting" role="status">
            Loading
          </p>
        }>
        <Page />
      </Suspense>
    </CacheProvider>
  );
}
