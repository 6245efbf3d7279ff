import { useEffect, useState } from 'react';
import '../form/form.css';
import './integrator.css';
import { Register } from './register';
import { Scorecard } from './scorecard';

const PLACES = { '/integrators': 'Register a client', '/scorecard': 'Scorecard' } as const;
type Place = keyof typeof PLACES;

function here(): Place {
  return window.location.pathname === '/scorecard' ? '/scorecard' : '/integrators';
}

/** The integrator's pages: from one to the other the token stays in memory, and is kept nowhere. */
export default function Integrator() {
  const [place, setPlace] = useState<Place>(here());
  const [token, setToken] = useState('');

  useEffect(() => {
    const moved = () => setPlace(here());
    window.addEventListener('popstate', moved);
    return () => window.removeEventListener('popstate', moved);
  }, []);

  useEffect(() => {
    document.title = `${PLACES[place]} - CSOR`;
  }, [place]);

  function go(to: Place): void {
    window.history.pushState(null, '', to);
    setPlace(to);
  }

  return (
    <div className="integrator">
      <header className="bar">
        <div className="bar-inner">
          <strong className="brand">CSOR</strong>
          <nav aria-label="For integrators">
            {(Object.keys(PLACES) as Place[]).map((each) => (
              <a
                key={each}
                href={each}
                aria-current={each === place ? 'page' : undefined}
                onClick={(event) => {
                  event.preventDefault();
                  go(each);
                }}>
                {PLACES[each]}
              </a>
            ))}
          </nav>
        </div>
      </header>
      <main>
        {place === '/scorecard' ? (
          <Scorecard token={token} onToken={setToken} />
        ) : (
          <Register onToken={setToken} onScorecard={() => go('/scorecard')} />
        )}
      </main>
    </div>
  );
}
