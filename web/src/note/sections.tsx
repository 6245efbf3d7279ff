import { useQuestionnaireResponseStore } from '@aehrc/smart-forms-renderer';
import type { Questionnaire } from 'fhir/r4';
import { items } from '../form/answers';

/** Bring an item to sight and put the keyboard into it. */
export function goTo(linkId: string): void {
  const place = document.querySelector(`[data-linkid="${CSS.escape(linkId)}"]`);
  const control = place?.querySelector<HTMLElement>(
    'input:checked:not([disabled]), input:not([disabled]), textarea, select, button'
  );
  place?.scrollIntoView({ block: 'center' });
  control?.focus({ preventScroll: true });
}

/** Return the linkIds that still need an answer, in the order of the form. */
export function useMissing(form: Questionnaire): string[] {
  const invalid = useQuestionnaireResponseStore.use.invalidItems();
  return [...items(form)]
    .filter(({ item }) => item.type !== 'group' && item.linkId in invalid)
    .map(({ item }) => item.linkId);
}

/** The parts of the note, and how many answers each still needs. */
export function Sections({ form, missing }: { form: Questionnaire; missing: string[] }) {
  const counts = new Map<string, number>();
  for (const { item, section } of items(form)) {
    if (missing.includes(item.linkId)) {
      counts.set(section.linkId, (counts.get(section.linkId) ?? 0) + 1);
    }
  }
  return (
    <nav className="sections" aria-label="Parts of the note">
      <ol>
        {(form.item ?? []).map(({ linkId, text }) => {
          const count = counts.get(linkId) ?? 0;
          return (
            <li key={linkId}>
              <button type="button" onClick={() => goTo(linkId)}>
                <span>{text}</span>
                {count ? (
                  <span className="count">
                    {count}
                    <span className="hidden"> to answer</span>
                  </span>
                ) : (
                  <span className="done">
                    <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
                      <path d="M2 8.5 6.5 13 14 3.5" fill="none" stroke="currentColor" strokeWidth="2.5" />
                    </svg>
                    <span className="hidden">complete</span>
                  </span>
                )}
              </button>
            </li>
          );
        })}
      </ol>
    </nav>
  );
}
