import type { TestReport } from 'fhir/r4';
import { ask, get } from '../fhir/client';

/** Where the page is: a sandbox registers at once, any other server says what its operator is to do. */
export interface About {
  sandbox: boolean;
  base: string;
  hospitals: { code: string; name: string }[];
}

/** What is asked for; without keys a bearer token is made. */
export interface Asked {
  name: string;
  hospital: string;
  scopes: string;
  doors: string[];
  jwks?: unknown;
  jwksUrl?: string;
  reason: string;
}

/** What a sandbox has registered: the token is shown this once. */
export interface Registered {
  client: string;
  token: string | null;
  letter: Record<string, string>;
}

/** What the operator is to run. */
export interface Command {
  command: string;
  file?: { name: string; content: string };
}

const API = '/integrators/api';

/** Say where the page is. */
export async function about(): Promise<About> {
  return get(`${API}/about`);
}

/** Register a client, or learn what the operator is to run. */
export async function register(asked: Asked): Promise<Registered | Command> {
  return (await ask('POST', `${API}/registration`, asked)).json();
}

/** Return the scorecard of a client; without a name, that of the token. */
export async function scorecard(client: string, token: string): Promise<TestReport> {
  const query = client ? `?${new URLSearchParams({ client })}` : '';
  const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};
  return (await ask('GET', `/fhir/TestReport/$scorecard${query}`, undefined, headers)).json();
}
