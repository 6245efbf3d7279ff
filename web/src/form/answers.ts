import type {
  Coding,
  Questionnaire,
  QuestionnaireItem,
  QuestionnaireItemAnswerOption,
  QuestionnaireResponse,
  QuestionnaireResponseItem,
  QuestionnaireResponseItemAnswer
} from 'fhir/r4';

const CONTROL = 'http://hl7.org/fhir/StructureDefinition/questionnaire-itemControl';
const UNIT = 'http://hl7.org/fhir/StructureDefinition/questionnaire-unit';
const EXCLUSIVE = 'http://hl7.org/fhir/StructureDefinition/questionnaire-optionExclusive';

/** Return the code of an item's control, as `radio-button`. */
export function control(item: QuestionnaireItem): string | undefined {
  return item.extension?.find((each) => each.url === CONTROL)?.valueCodeableConcept?.coding?.[0]
    ?.code;
}

/** Return what a number is counted in, to be shown. */
export function unit(item: QuestionnaireItem): string | undefined {
  const coding = item.extension?.find((each) => each.url === UNIT)?.valueCoding;
  return coding?.display ?? coding?.code;
}

/** Tell whether an option excludes every other. */
export function isExclusive(option: QuestionnaireItemAnswerOption): boolean {
  return option.extension?.some((each) => each.url === EXCLUSIVE && each.valueBoolean) ?? false;
}

/** Return what tells one option or answer from another. */
export function keyOf(given: QuestionnaireItemAnswerOption | QuestionnaireResponseItemAnswer): string {
  const coding = given.valueCoding;
  if (coding) {
    return `${coding.system ?? ''}|${coding.code ?? coding.display ?? ''}`;
  }
  return JSON.stringify(given.valueString ?? given.valueInteger ?? given.valueDate ?? null);
}

/** Return the words of an option or a coded answer. */
export function words(
  given: QuestionnaireItemAnswerOption | QuestionnaireResponseItemAnswer
): string {
  const coding: Coding | undefined = given.valueCoding;
  if (coding) {
    return coding.display ?? coding.code ?? '';
  }
  return String(given.valueString ?? given.valueInteger ?? given.valueDate ?? '');
}

/** Return any answer as words. */
export function shown(answer: QuestionnaireResponseItemAnswer): string {
  if (answer.valueBoolean !== undefined) {
    return answer.valueBoolean ? 'Yes' : 'No';
  }
  if (answer.valueQuantity) {
    return `${answer.valueQuantity.value ?? ''} ${answer.valueQuantity.unit ?? ''}`.trim();
  }
  const plain = answer.valueDecimal ?? answer.valueDateTime ?? answer.valueTime ?? answer.valueUri;
  return plain === undefined ? words(answer) : String(plain);
}

/** Visit every item of a form, with the top-level item it stands below. */
export function* items(
  form: Questionnaire
): Generator<{ item: QuestionnaireItem; section: QuestionnaireItem }> {
  function* below(
    item: QuestionnaireItem,
    section: QuestionnaireItem
  ): Generator<{ item: QuestionnaireItem; section: QuestionnaireItem }> {
    yield { item, section };
    for (const each of item.item ?? []) {
      yield* below(each, section);
    }
  }
  for (const section of form.item ?? []) {
    yield* below(section, section);
  }
}

/** Return the answers of a response in words: linkId (numbered where it repeats) to words. */
export function flat(response: QuestionnaireResponse): Map<string, string> {
  const found = new Map<string, string>();
  function visit(list: QuestionnaireResponseItem[] | undefined, under: string): void {
    const seen = new Map<string, number>();
    for (const item of list ?? []) {
      const count = (seen.get(item.linkId) ?? 0) + 1;
      seen.set(item.linkId, count);
      const key = count > 1 || under ? `${item.linkId}${under}${count > 1 ? ` ${count}` : ''}` : item.linkId;
      if (item.answer?.length) {
        found.set(key, item.answer.map(shown).join('; '));
      }
      visit(item.item, count > 1 ? ` ${count}` : under);
      for (const answer of item.answer ?? []) {
        visit(answer.item, under);
      }
    }
  }
  visit(response.item, '');
  return found;
}
