import type { Questionnaire, QuestionnaireResponse } from 'fhir/r4';
import { type Stored, ask } from '../fhir/client';

/** What a parent decides about: one stream of data. */
export interface Stream {
  code: string;
  display: string;
  decision: 'permit' | 'deny' | null;
}

/** A sitting: the form, the answers so far, and about whom. */
export interface Sitting {
  questionnaire: Questionnaire;
  response: QuestionnaireResponse;
  etag: string;
  child: { given: string };
  language: string;
  languages: string[];
  streams: Stream[];
  /** The last day; null where the survey stays open. */
  until: string | null;
}

const API = '/survey/api';

/** Begin a sitting with the link's token and the child's date of birth. */
export async function begin(token: string, birthDate: string): Promise<void> {
  await ask('POST', `${API}/sitting`, { token, birthDate });
}

/** Return the form of the sitting, in a language where one is asked for, and the answers so far. */
export async function form(language?: string): Promise<Sitting> {
  const query = language ? `?${new URLSearchParams({ language })}` : '';
  return (await ask('GET', `${API}/form${query}`)).json();
}

/** Keep the answers so far. */
export async function keep(
  response: QuestionnaireResponse,
  etag: string
): Promise<Stored<QuestionnaireResponse>> {
  const answer = await ask('PUT', `${API}/response`, response, { 'If-Match': etag });
  return { resource: await answer.json(), etag: answer.headers.get('ETag') ?? '' };
}

/** Record what a parent has decided. */
export async function decide(streams: { code: string; decision: string }[]): Promise<void> {
  await ask('POST', `${API}/consent`, { streams });
}

/** Hand the answers in, as they were kept last. */
export async function submit(etag: string): Promise<void> {
  await ask('POST', `${API}/submit`, {}, { 'If-Match': etag });
}

/** Ask for another link, which goes to the address on file and is not shown. */
export async function anotherLink(): Promise<void> {
  await ask('POST', `${API}/another-link`, {});
}
