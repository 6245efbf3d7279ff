import type { Bundle, FhirResource, Identifier, OperationOutcome, Parameters } from 'fhir/r4';

/** The registry's FHIR endpoint: always that of the page's own origin. */
export const BASE = `${window.location.origin}/fhir`;

const JSON_TYPE = 'application/fhir+json';
const CREATED = 201;

/** A refusal: its status (0 where no answer came) and its outcome, which is fit to be shown. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly outcome: OperationOutcome | null
  ) {
    super(said(status, outcome)[0]);
  }

  /** The sentences that say why. */
  get sentences(): string[] {
    return said(this.status, this.outcome);
  }
}

/** A stored resource and the version that was read. */
export interface Stored<T> {
  resource: T;
  etag: string;
}

let csrf: string | null = null;

/** Send this token with every write from now on. */
export function proveWith(token: string | null): void {
  csrf = token;
}

function said(status: number, outcome: OperationOutcome | null): string[] {
  const found = (outcome?.issue ?? [])
    .map((issue) => issue.details?.text ?? issue.diagnostics ?? '')
    .filter((text) => text);
  if (found.length) {
    return found;
  }
  return [status === 0 ? 'The registry cannot be reached.' : `The registry answered ${status}.`];
}

/** Ask for something at this origin; throws Refused for every answer that is not a success. */
export async function ask(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {}
): Promise<Response> {
  const sent: Record<string, string> = { Accept: JSON_TYPE, ...headers };
  if (body !== undefined) {
    sent['Content-Type'] = path.startsWith('/fhir') ? JSON_TYPE : 'application/json';
  }
  if (csrf && method !== 'GET') {
    sent['X-CSRF-Token'] = csrf;
  }
  let answer: Response;
  try {
    answer = await fetch(path, {
      method,
      headers: sent,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: 'same-origin',
      cache: 'no-store',
      redirect: 'error'
    });
  } catch {
    throw new Refused(0, null);
  }
  if (!answer.ok) {
    const outcome = await answer.json().catch(() => null);
    throw new Refused(
      answer.status,
      outcome?.resourceType === 'OperationOutcome' ? outcome : null
    );
  }
  return answer;
}

/** Read JSON at this origin. */
export async function get<T>(path: string): Promise<T> {
  return (await ask('GET', path)).json();
}

/** Read a resource with its version. */
export async function read<T extends FhirResource>(type: string, id: string): Promise<Stored<T>> {
  const answer = await ask('GET', `/fhir/${type}/${id}`);
  return { resource: await answer.json(), etag: answer.headers.get('ETag') ?? '' };
}

/** Search; returns the matches alone. */
export async function search<T extends FhirResource>(
  type: string,
  query: Record<string, string>
): Promise<T[]> {
  const found = await get<Bundle<T>>(`/fhir/${type}?${new URLSearchParams(query)}`);
  return (found.entry ?? [])
    .filter((entry) => entry.search?.mode !== 'include' && entry.resource)
    .map((entry) => entry.resource as T)
    .filter((resource) => resource.resourceType === type);
}

/** Create or update a resource; returns it as it is stored. */
export async function store<T extends FhirResource>(
  resource: T,
  version?: string
): Promise<Stored<T>> {
  const { resourceType, id } = resource;
  const answer = id
    ? await ask('PUT', `/fhir/${resourceType}/${id}`, resource, version ? { 'If-Match': version } : {})
    : await ask('POST', `/fhir/${resourceType}`, resource);
  return { resource: await answer.json(), etag: answer.headers.get('ETag') ?? '' };
}

/** Create a resource unless one with its identifier exists: that one is updated; returns it as it is stored. */
export async function storeOnce<T extends FhirResource>(
  resource: T,
  { system, value }: Identifier
): Promise<Stored<T>> {
  const answer = await ask('POST', `/fhir/${resource.resourceType}`, resource, {
    'If-None-Exist': new URLSearchParams({ identifier: `${system}|${value}` }).toString()
  });
  const [found, etag] = [await answer.json(), answer.headers.get('ETag') ?? ''];
  return answer.status === CREATED
    ? { resource: found, etag }
    : store({ ...resource, id: found.id, meta: found.meta }, etag);
}

/** Run an operation with parameters; returns the resource it answers with. */
export async function operate<T>(
  path: string,
  parameter: Parameters['parameter'],
  headers: Record<string, string> = {}
): Promise<T> {
  const body: Parameters = { resourceType: 'Parameters', parameter };
  return (await ask('POST', `/fhir/${path}`, body, headers)).json();
}
