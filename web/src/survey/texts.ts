import cy from './texts/cy.json';
import en from './texts/en.json';

/** The words of the page in one language; the form's own words come from the server. */
export type Texts = Record<keyof typeof en, string>;

const languages: Record<string, Texts> = { en, cy };
const names: Record<string, string> = { en: 'English', cy: 'Cymraeg' };

/** Return the page's words in a language, in English where it has none. */
export function texts(language: string): Texts {
  return languages[language] ?? en;
}

/** Return what a language calls itself; null where the page has no words in it. */
export function nameOf(language: string): string | null {
  return names[language] ?? null;
}

/** Put values where a text names them. */
export function filled(text: string, values: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ''));
}
