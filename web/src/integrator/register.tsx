import { type FormEvent, useEffect, useRef, useState } from 'react';
import { type About, type Asked, type Command, type Registered, about, register } from './api';
import { Problem, sentencesOf } from './problem';

interface Given {
  onToken: (token: string) => void;
  onScorecard: () => void;
}

const DOORS = { fhir: 'FHIR', hl7v2: 'HL7 v2 over HTTP' };
const KNOWN_BY = {
  jwks: 'By a key: I paste its public half',
  url: 'By a key: its public half is published',
  token: 'By a bearer token'
};
type KnownBy = keyof typeof KNOWN_BY;

/** Registering a client: at once in a sandbox, as a request to the operator anywhere else. */
export function Register({ onToken, onScorecard }: Given) {
  const [where, setWhere] = useState<About | null>(null);
  const [wrong, setWrong] = useState<string[]>([]);
  const [done, setDone] = useState<Registered | Command | null>(null);

  useEffect(() => {
    about().then(setWhere, (refusal) => setWrong(sentencesOf(refusal)));
  }, []);

  async function send(asked: Asked): Promise<void> {
    setWrong([]);
    try {
      const answer = await register(asked);
      if ('letter' in answer && answer.token) {
        onToken(answer.token);
      }
      setDone(answer);
    } catch (refusal) {
      setWrong(sentencesOf(refusal));
    }
  }

  if (done && 'letter' in done) {
    return <Letter registered={done} onScorecard={onScorecard} />;
  }
  if (done) {
    return <ForTheOperator told={done} onBack={() => setDone(null)} />;
  }
  return (
    <>
      <h1>Register a client</h1>
      {where ? <Where where={where} /> : null}
      <Problem sentences={wrong} />
      {where ? <Form where={where} onSend={send} /> : null}
    </>
  );
}

function Where({ where }: { where: About }) {
  return where.sandbox ? (
    <p className="notice">
      <strong>This is a sandbox.</strong> Every child in it is fictitious, and nothing real may be
      sent to it. Your client works at once.
    </p>
  ) : (
    <p className="notice">
      <strong>This page registers nobody.</strong> It writes the command that the registry's operator
      runs, for you to send to them. They decide.
    </p>
  );
}

function Form({ where, onSend }: { where: About; onSend: (asked: Asked) => Promise<void> }) {
  const [text, setText] = useState({
    name: '', hospital: '', scopes: 'system/*.cruds', jwks: '', jwksUrl: '', reason: ''
  });
  const [doors, setDoors] = useState(Object.keys(DOORS));
  const [knownBy, setKnownBy] = useState<KnownBy>('jwks');
  const [isNoJson, setNoJson] = useState(false);
  const keys = useRef<HTMLTextAreaElement>(null);
  const field = (name: keyof typeof text) => ({
    id: name,
    className: 'input',
    value: text[name],
    autoComplete: 'off',
    'aria-describedby': `${name}-hint`,
    onChange: (event: { target: { value: string } }) =>
      setText({ ...text, [name]: event.target.value })
  });

  function submit(event: FormEvent): void {
    event.preventDefault();
    const { name, hospital, scopes, reason } = text;
    const asked: Asked = { name, hospital, scopes, reason, doors };
    if (knownBy === 'url') {
      asked.jwksUrl = text.jwksUrl;
    }
    if (knownBy === 'jwks') {
      try {
        asked.jwks = JSON.parse(text.jwks);
      } catch {
        setNoJson(true);
        keys.current?.focus();
        return;
      }
    }
    setNoJson(false);
    void onSend(asked);
  }

  return (
    <form onSubmit={submit} noValidate>
      <Labelled name="name" label="Name of the client" hint="Small letters, digits and hyphens, as oxford-epr. It is the client_id, and how the audit names it.">
        <input {...field('name')} />
      </Labelled>
      <Labelled name="hospital" label="Hospital" hint={where.sandbox ? 'Whose system it is: it sees the children of this hospital.' : 'The ODS code of the hospital whose system it is, as RTH.'}>
        {where.sandbox ? (
          <select {...field('hospital')}>
            <option value="">Choose</option>
            {where.hospitals.map(({ code, name }) => (
              <option key={code} value={code}>
                {name} ({code})
              </option>
            ))}
          </select>
        ) : (
          <input {...field('hospital')} />
        )}
      </Labelled>
      <Labelled name="scopes" label="Scopes" hint="What it may do, with a space between, as system/Patient.crus system/Encounter.crus.">
        <input {...field('scopes')} />
      </Labelled>
      <fieldset className="asked">
        <legend>Doors</legend>
        {Object.entries(DOORS).map(([door, label]) => (
          <label className="choice" key={door}>
            <input
              type="checkbox"
              checked={doors.includes(door)}
              onChange={(event) =>
                setDoors(
                  event.target.checked ? [...doors, door] : doors.filter((each) => each !== door)
                )
              }
            />
            {label}
          </label>
        ))}
      </fieldset>
      <fieldset className="asked">
        <legend>How it proves who it is</legend>
        {(Object.keys(KNOWN_BY) as KnownBy[]).map((each) => (
          <label className="choice" key={each}>
            <input
              type="radio"
              name="known-by"
              checked={knownBy === each}
              onChange={() => setKnownBy(each)}
            />
            {KNOWN_BY[each]}
          </label>
        ))}
      </fieldset>
      {knownBy === 'jwks' ? (
        <Labelled name="jwks" label="Public keys (JWKS)" hint="JSON with keys, each with a kid of its own: RSA of 2048 bits or more, or P-384. Keep the private half to yourself.">
          {isNoJson ? (
            <p className="complaint" role="alert">
              The keys are no JSON: paste the whole JWKS, from the first brace to the last.
            </p>
          ) : null}
          <textarea {...field('jwks')} ref={keys} rows={6} spellCheck={false} aria-invalid={isNoJson} />
        </Labelled>
      ) : null}
      {knownBy === 'url' ? (
        <Labelled name="jwksUrl" label="Address of the keys" hint="An https address where you publish your JWKS.">
          <input {...field('jwksUrl')} inputMode="url" />
        </Labelled>
      ) : null}
      {knownBy === 'token' ? (
        <p className="hint">It is good until it is replaced: a key is safer.</p>
      ) : null}
      <Labelled name="reason" label="What it is for" hint="One line, for whoever reads the list next.">
        <input {...field('reason')} />
      </Labelled>
      <button type="submit" className="button">
        {where.sandbox ? 'Register' : 'Write the request'}
      </button>
    </form>
  );
}

interface Label {
  name: string;
  label: string;
  hint: string;
  children: React.ReactNode;
}

function Labelled({ name, label, hint, children }: Label) {
  return (
    <div className="asked">
      <label htmlFor={name}>{label}</label>
      <p className="hint" id={`${name}-hint`}>
        {hint}
      </p>
      {children}
    </div>
  );
}

function Letter({ registered, onScorecard }: { registered: Registered; onScorecard: () => void }) {
  return (
    <section>
      <Heading>{registered.client} is registered</Heading>
      {registered.token ? (
        <p className="notice">
          <strong>Keep the token now.</strong> It is shown this once.
        </p>
      ) : null}
      <dl className="letter">
        {Object.entries(registered.letter)
          .filter(([name]) => name !== 'how')
          .map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
      </dl>
      <button type="button" className="button" onClick={onScorecard}>
        Go to the scorecard
      </button>
    </section>
  );
}

function ForTheOperator({ told, onBack }: { told: Command; onBack: () => void }) {
  return (
    <section>
      <Heading>Send this to the operator</Heading>
      <p>Nothing is registered yet. The operator of the registry runs this command:</p>
      <pre tabIndex={0}>{told.command}</pre>
      {told.file ? (
        <>
          <p>
            with this file beside it, <code>{told.file.name}</code>:
          </p>
          <pre tabIndex={0}>{told.file.content}</pre>
        </>
      ) : null}
      <p>and sends you what it prints.</p>
      <button type="button" className="button button-quiet" onClick={onBack}>
        Change it
      </button>
    </section>
  );
}

function Heading({ children }: { children: React.ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <h1 tabIndex={-1} ref={heading}>
      {children}
    </h1>
  );
}
