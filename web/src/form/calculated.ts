import {
  mapQItemsIndex,
  questionnaireResponseStore,
  questionnaireStore,
  updateQrItemsInGroup
} from '@aehrc/smart-forms-renderer';
import type {
  Questionnaire,
  QuestionnaireItem,
  QuestionnaireResponse,
  QuestionnaireResponseItem,
  QuestionnaireResponseItemAnswer
} from 'fhir/r4';
import r4 from 'fhirpath/fhir-context/r4';
import { keyOf } from './answers';
import fhirpath from './expressions';

const EXPRESSION =
  'http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-calculatedExpression';

interface Calculation {
  item: QuestionnaireItem;
  /** The groups that it stands in, outermost first. */
  above: QuestionnaireItem[];
  expression: string;
}

const plain: Partial<Record<QuestionnaireItem['type'], keyof QuestionnaireResponseItemAnswer>> = {
  string: 'valueString',
  text: 'valueString',
  integer: 'valueInteger',
  decimal: 'valueDecimal',
  boolean: 'valueBoolean'
};

/**
 * What a form calculates, done as the registry does it: an answer is filled in where there is none, all
 * results of a repeating question are taken, and what a person has answered is never written over. The
 * renderer's own calculation does so at every change, and so has no part in it.
 */
export class Calculations {
  /** The form without the calculations that are done here, for the renderer. */
  readonly form: Questionnaire;
  private found: Calculation[] = [];
  private given = new Map<string, string>();
  private isBusy = false;
  private isAskedAgain = false;

  constructor(form: Questionnaire) {
    this.form = structuredClone(form);
    this.take(this.form.item ?? [], []);
  }

  /** The linkIds whose answer is a calculated one now. */
  get calculated(): string[] {
    return [...this.given.keys()];
  }

  private take(list: QuestionnaireItem[], above: QuestionnaireItem[]): void {
    for (const item of list) {
      const stated = item.extension?.find(({ url }) => url === EXPRESSION)?.valueExpression;
      const isOurs = item.type in plain || item.type === 'choice' || item.type === 'open-choice';
      const isOnce = above.every(({ repeats }) => !repeats);
      if (stated?.expression && isOurs && isOnce) {
        this.found.push({ item, above, expression: stated.expression });
        item.extension = item.extension?.filter(({ url }) => url !== EXPRESSION);
      }
      this.take(item.item ?? [], [...above, item]);
    }
  }

  /** Calculate from the present answers; resolves when what follows from them is evaluated. */
  async run(): Promise<void> {
    if (this.isBusy) {
      this.isAskedAgain = true;
      return;
    }
    const present = questionnaireResponseStore.getState().updatableResponse;
    const response = structuredClone(present);
    const put = this.found.filter((calculation) => this.one(calculation, response));
    if (put.length === 0) {
      return;
    }
    this.isBusy = true;
    try {
      const form = questionnaireStore.getState();
      for (const { item, above } of put) {
        const answer = answersAt(response, [...above, item]);
        form.updateEnableWhenItem(item.linkId, answer.length ? answer : undefined, null);
      }
      questionnaireResponseStore.getState().updateResponse(response, false);
      await form.updateExpressions(response, false);
    } finally {
      this.isBusy = false;
    }
    if (this.isAskedAgain) {
      this.isAskedAgain = false;
      await this.run();
    }
  }

  /** Put one calculated answer into a response; true where it was another. */
  private one({ item, above, expression }: Calculation, response: QuestionnaireResponse): boolean {
    const present = written(answersAt(response, [...above, item]));
    const before = this.given.get(item.linkId);
    if (present !== '' && present !== before) {
      this.given.delete(item.linkId);
      if (before !== undefined || present !== written(evaluated(item, expression, response))) {
        return false;
      }
      this.given.set(item.linkId, present);
      return false;
    }
    const answer = evaluated(item, expression, response);
    const wanted = written(answer);
    if (wanted === present || (present === '' && wanted === before)) {
      return false; // as it is, or cleared by whoever reads it
    }
    this.given.set(item.linkId, wanted);
    if (!wanted) {
      this.given.delete(item.linkId);
    }
    const made: QuestionnaireResponseItem = { linkId: item.linkId, text: item.text };
    const form = questionnaireStore.getState().sourceQuestionnaire;
    place(answer.length ? { ...made, answer } : made, above, form, response);
    return true;
  }
}

function written(answers: QuestionnaireResponseItemAnswer[]): string {
  return answers
    .map((answer) => answer.valueDecimal ?? answer.valueBoolean ?? keyOf(answer))
    .filter((key) => key !== 'null')
    .join('\n');
}

function answersAt(
  response: QuestionnaireResponse,
  path: QuestionnaireItem[]
): QuestionnaireResponseItemAnswer[] {
  let list: QuestionnaireResponseItem[] | undefined = response.item;
  let found: QuestionnaireResponseItem | undefined;
  for (const { linkId } of path) {
    found = list?.find((each) => each.linkId === linkId);
    list = found?.item;
  }
  return found?.answer ?? [];
}

function evaluated(
  item: QuestionnaireItem,
  expression: string,
  response: QuestionnaireResponse
): QuestionnaireResponseItemAnswer[] {
  let results: unknown[];
  try {
    results = fhirpath.evaluate(response, expression, { resource: response }, r4) as unknown[];
  } catch {
    return []; // the registry says what is wrong with it
  }
  const answers = results.map((result) => answer(item, result)).filter((each) => each !== null);
  return item.repeats ? answers : answers.slice(0, 1);
}

function answer(item: QuestionnaireItem, result: unknown): QuestionnaireResponseItemAnswer | null {
  const name = plain[item.type];
  if (name) {
    const isEmpty = result === '' || result === null || result === undefined;
    return isEmpty ? null : { [name]: name === 'valueString' ? String(result).trim() : result };
  }
  const code = typeof result === 'object' ? (result as { code?: string }).code : result;
  const option = item.answerOption?.find(
    ({ valueCoding, valueString }) => (valueCoding?.code ?? valueString) === code
  );
  return option?.valueCoding ? { valueCoding: option.valueCoding } : null;
}

/** Put an item into a group, or into the groups below it, each in the order of the form. */
function place(
  made: QuestionnaireResponseItem,
  [next, ...below]: QuestionnaireItem[],
  definition: Questionnaire | QuestionnaireItem,
  group: QuestionnaireResponse | QuestionnaireResponseItem
): void {
  const order = mapQItemsIndex(definition);
  if (!next) {
    updateQrItemsInGroup(made, null, group, order);
    return;
  }
  const { linkId, text } = next;
  const found = group.item?.find((each) => each.linkId === linkId) ?? { linkId, text, item: [] };
  place(made, below, next, found);
  updateQrItemsInGroup(found, null, group, order);
}
