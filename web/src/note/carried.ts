import type { Extension, QuestionnaireResponse } from 'fhir/r4';
import { operate } from '../fhir/client';
import { flat } from '../form/answers';

const CARRIED = 'https://csor.example/fhir/StructureDefinition/carried-over';

/** Return a draft with the technique of the surgeon's last note on the same form, each answer marked. */
export async function carryOver(draft: QuestionnaireResponse): Promise<QuestionnaireResponse> {
  return operate<QuestionnaireResponse>('QuestionnaireResponse/$carry-over', [
    { name: 'response', resource: draft }
  ]);
}

/** Return the linkIds of what was carried over and nobody has confirmed yet. */
export function carried(draft: QuestionnaireResponse): Set<string> {
  const found = (draft.extension ?? []).filter(({ url }) => url === CARRIED).map(linkIdOf);
  return new Set(found);
}

/** Return the extensions of a draft without the marks of some answers. */
export function unmarked(
  draft: QuestionnaireResponse,
  confirmed: ReadonlySet<string>
): Extension[] | undefined {
  const left = (draft.extension ?? []).filter(
    (each) => each.url !== CARRIED || !confirmed.has(linkIdOf(each))
  );
  return left.length ? left : undefined;
}

/** Return the linkIds, of some, whose answers are others in two versions: who changes an answer confirms it. */
export function changed(
  among: ReadonlySet<string>,
  before: QuestionnaireResponse['item'],
  after: QuestionnaireResponse['item']
): Set<string> {
  const [old, now] = [before, after].map((item) =>
    flat({ resourceType: 'QuestionnaireResponse', status: 'in-progress', item })
  );
  return new Set([...among].filter((linkId) => old?.get(linkId) !== now?.get(linkId)));
}

function linkIdOf(mark: Extension): string {
  return mark.extension?.find(({ url }) => url === 'linkId')?.valueString ?? '';
}
