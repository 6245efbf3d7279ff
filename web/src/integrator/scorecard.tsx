import type { TestReport } from 'fhir/r4';
import { type FormEvent, useState } from 'react';
import { scorecard } from './api';
import { Problem, sentencesOf } from './problem';

interface Given {
  token: string;
  onToken: (token: string) => void;
}

/** One scenario by one door, as a test of the report has it. */
interface Line {
  group: string;
  door: string;
  title: string;
  result: string;
  message: string;
}

const WORDS: Record<string, string> = { pass: 'Passed', fail: 'Failed', skip: 'Not yet tried' };

/** What a client's traffic has shown: the words say it, the colours repeat it. */
export function Scorecard({ token, onToken }: Given) {
  const [client, setClient] = useState('');
  const [report, setReport] = useState<TestReport | null>(null);
  const [wrong, setWrong] = useState<string[]>([]);

  async function look(event: FormEvent): Promise<void> {
    event.preventDefault();
    try {
      setReport(await scorecard(client.trim(), token.trim()));
      setWrong([]);
    } catch (refusal) {
      setReport(null);
      setWrong(sentencesOf(refusal));
    }
  }

  return (
    <>
      <h1>{report?.name ?? 'Scorecard'}</h1>
      <Problem sentences={wrong} />
      <form onSubmit={(event) => void look(event)} className="look" noValidate>
        <div className="asked">
          <label htmlFor="token">Bearer token of the client</label>
          <p className="hint" id="token-hint">
            One that the token endpoint gave you, or the registered one. It is kept nowhere.
          </p>
          <input
            id="token"
            type="password"
            className="input"
            autoComplete="off"
            aria-describedby="token-hint"
            value={token}
            onChange={(event) => onToken(event.target.value)}
          />
        </div>
        <details className="asked">
          <summary>I work for the registry, or on its machine</summary>
          <label htmlFor="client">Name of the client</label>
          <input
            id="client"
            className="input"
            autoComplete="off"
            value={client}
            onChange={(event) => setClient(event.target.value)}
          />
        </details>
        <button type="submit" className="button">
          {report ? 'Look again' : 'Show the scorecard'}
        </button>
      </form>
      {report ? <Report lines={linesOf(report)} /> : null}
    </>
  );
}

function Report({ lines }: { lines: Line[] }) {
  const groups = [...new Set(lines.map(({ group }) => group))];
  const counts = Object.entries(WORDS).map(([result, word]) => {
    const many = lines.filter((line) => line.result === result).length;
    return `${many} ${word.toLowerCase()}`;
  });
  return (
    <>
      <p className="counts" role="status">
        {counts.join(', ')}
      </p>
      {groups.map((group) => (
        <section key={group} className="group">
          <h2>{group}</h2>
          <ul>
            {lines
              .filter((line) => line.group === group)
              .map((line) => (
                <li key={`${line.title} ${line.door}`} className={`line line-${line.result}`}>
                  <p className="title">
                    <strong className="word">{WORDS[line.result] ?? line.result}</strong>
                    {line.title} <span className="door">{line.door}</span>
                  </p>
                  <p className="told">{plain(line.message)}</p>
                </li>
              ))}
          </ul>
        </section>
      ))}
    </>
  );
}

/** Return the lines of a report, whose tests are named `group, door: id`. */
function linesOf(report: TestReport): Line[] {
  return (report.test ?? []).map(({ name = '', description = '', action }) => {
    const [group = '', rest = ''] = name.split(', ');
    const [door = ''] = rest.split(': ');
    const { result, message = '' } = action[0]?.assert ?? { result: 'error' };
    return { group, door, title: description, result, message };
  });
}

const SAID = /^(Passed|Failed|Not yet tried\.) /;
const INSTANT = /\d{4}-\d\d-\d\dT[\d:.]+Z/;

/** Return a message without the word that stands before it, and its moment as London's clocks say it. */
function plain(message: string): string {
  return message.replace(SAID, '').replace(INSTANT, (instant) =>
    new Date(instant).toLocaleString('en-GB', {
      timeZone: 'Europe/London',
      dateStyle: 'long',
      timeStyle: 'medium'
    })
  );
}
