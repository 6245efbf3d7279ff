import type { Questionnaire, QuestionnaireResponse, QuestionnaireResponseItem } from 'fhir/r4';
import { items, keyOf } from '../form/answers';

/** Return a response with the questions and coded answers in the words of a form in another language. */
export function inWordsOf(
  form: Questionnaire,
  response: QuestionnaireResponse,
  language: string
): QuestionnaireResponse {
  const asked = new Map([...items(form)].map(({ item }) => [item.linkId, item]));
  const inWords = (list: QuestionnaireResponseItem[] | undefined): typeof list =>
    list?.map((given) => {
      const { text, answerOption } = asked.get(given.linkId) ?? {};
      const made = { ...given };
      if (given.text && text) {
        made.text = text;
      }
      if (given.item) {
        made.item = inWords(given.item);
      }
      if (given.answer) {
        made.answer = given.answer.map((answer) => {
          const option = answerOption?.find((each) => keyOf(each) === keyOf(answer));
          return {
            ...answer,
            ...(option?.valueCoding ? { valueCoding: option.valueCoding } : {}),
            ...(answer.item ? { item: inWords(answer.item) } : {})
          };
        });
      }
      return made;
    });
  return { ...response, language, item: inWords(response.item) };
}
