import { type Texts, nameOf } from './texts';

interface Given {
  said: Texts;
  /** The languages that the server offers. */
  offered: string[];
  language: string;
  onChosen: (language: string) => void;
}

/** The language of the survey, where the server offers several that the page has words in. */
export function Languages({ said, offered, language, onChosen }: Given) {
  const known = offered.filter(nameOf);
  if (known.length < 2) {
    return null;
  }
  return (
    <nav className="languages" aria-label={said.languageLabel}>
      {known.map((each) => (
        <button
          key={each}
          type="button"
          lang={each}
          aria-pressed={each === language}
          onClick={() => each !== language && onChosen(each)}>
          {nameOf(each)}
        </button>
      ))}
    </nav>
  );
}
