import { useEffect, useState } from 'react';
import { Refused } from '../fhir/client';
import { type Session, type Written, written } from './session';

const SOON = 1_000;
const LONGEST = 30_000;

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
      </p>
      {session.writeBack && signed.composition ? <Copy composition={signed.composition} /> : null}
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

/** What became of the copy for the hospital's system: asked for until it is there or refused. */
function Copy({ composition }: { composition: string }) {
  const [found, setFound] = useState<Written | 'unknown' | null>(null);

  useEffect(() => {
    let timer: number | undefined;
    let isGone = false;
    async function look(pause: number): Promise<void> {
      let again = true;
      try {
        const now = await written(composition);
        if (isGone) {
          return;
        }
        setFound(now ?? 'unknown');
        again = now?.status === 'waiting';
      } catch (refusal) {
        if (refusal instanceof Refused && refusal.status === 401) {
          again = false;
          setFound('unknown');
        }
      }
      if (again && !isGone) {
        timer = window.setTimeout(() => void look(Math.min(pause * 2, LONGEST)), pause);
      }
    }
    void look(SOON);
    return () => {
      isGone = true;
      window.clearTimeout(timer);
    };
  }, [composition]);

  return (
    <div role="status" data-copy={found === null || found === 'unknown' ? found : found.status}>
      {found === 'unknown' ? (
        <p>
          Whether the hospital’s system has a copy can no longer be told here. Look for the note in the
          child’s record there.
        </p>
      ) : found?.status === 'written' ? (
        <p>The hospital’s system has a copy.</p>
      ) : found?.status === 'refused' ? (
        <>
          <p>
            <strong>The hospital’s system did not take a copy.</strong> The note stays signed and stored
            in the registry. Open it as PDF to put it into the child’s record.
          </p>
          {found.text ? <p>{found.text}</p> : null}
        </>
      ) : (
        <p>A copy is on its way to the hospital’s system.</p>
      )}
    </div>
  );
}

function duration(seconds: number): string {
  const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60];
  return minutes ? `${minutes} min ${rest} s` : `${rest} s`;
}
