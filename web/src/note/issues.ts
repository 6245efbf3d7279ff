import type { OperationOutcome, Questionnaire, QuestionnaireResponse } from 'fhir/r4';
import { items } from '../form/answers';

/** What has to be mended before a note can be signed, and where. */
export interface Complaint {
  linkId: string | null;
  text: string;
}

const NAMED = /^([^\s:]+): (.*)$/s;
const STEP = /item\[(\d+)\]/g;

/** Return the errors of an outcome, with the item each is about where that can be told. */
export function complaints(
  outcome: OperationOutcome,
  form: Questionnaire,
  response: QuestionnaireResponse
): Complaint[] {
  const texts = new Map([...items(form)].map(({ item }) => [item.linkId, item.text ?? item.linkId]));
  return outcome.issue
    .filter((issue) => issue.severity === 'error' || issue.severity === 'fatal')
    .map((issue) => {
      const said = issue.details?.text ?? issue.diagnostics ?? issue.code;
      const [, named, rest] = NAMED.exec(said) ?? [];
      if (named && texts.has(named)) {
        return { linkId: named, text: `${texts.get(named)}: ${rest}` };
      }
      const linkId = at(response, issue.expression?.[0] ?? '');
      return { linkId, text: linkId ? `${texts.get(linkId) ?? linkId}: ${said}` : said };
    });
}

function at(response: QuestionnaireResponse, path: string): string | null {
  let found: string | null = null;
  let list = response.item;
  for (const step of path.matchAll(STEP)) {
    const item = list?.[Number(step[1])];
    if (!item) {
      break;
    }
    found = item.linkId;
    list = item.item;
  }
  return found;
}
