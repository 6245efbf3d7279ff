import type { Session } from './session';

/** What signing gave: where the document is, and how long the note took. */
export interface Signed {
  composition: string | null;
  seconds: number | null;
}

/** The end of a note: it is signed, and here is its document. */
export function Receipt({ session, signed, onAnother }: {
  session: Session;
  signed: Signed;
  onAnother: () => void;
}) {
  const time = signed.seconds === null ? null : duration(signed.seconds);
  return (
    <section className="receipt">
      <h1 tabIndex={-1} ref={(heading) => heading?.focus()}>
        The note is signed
      </h1>
      <p>
        The note about {session.patient.display} is stored, and the registry knows of the operation:
        nothing else has to be sent.
        {session.writeBack ? ' A copy is on its way to the hospital’s system.' : ''}
      </p>
      {time ? <p>From opening the form to signing it took {time}.</p> : null}
      <p className="actions">
        {signed.composition ? (
          <a className="button" href={`/fhir/${signed.composition}/$pdf`} target="_blank" rel="noreferrer">
            Open the note as PDF
          </a>
        ) : null}
        <button type="button" className="button button-quiet" onClick={onAnother}>
          {session.launched ? 'Finish' : 'Write another note'}
        </button>
      </p>
    </section>
  );
}

function duration(seconds: number): string {
  const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60];
  return minutes ? `${minutes} min ${rest} s` : `${rest} s`;
}
