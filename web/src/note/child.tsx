import type { Session } from './session';

/** Whose note it is, always in sight: the strip that a clinician looks for first. */
export function Child({ session }: { session: Session }) {
  const { patient, hospital, user } = session;
  const born = patient.birthDate?.split('-').reverse().join('/');
  const number = patient.nhsNumber?.replace(/^(\d{3})(\d{3})(\d{4})$/, '$1 $2 $3');
  return (
    <dl className="child">
      <div className="child-name">
        <dt className="hidden">Child</dt>
        <dd>{patient.display}</dd>
      </div>
      {born ? (
        <div>
          <dt>Born</dt>
          <dd>{born}</dd>
        </div>
      ) : null}
      {number ? (
        <div>
          <dt>NHS No.</dt>
          <dd>{number}</dd>
        </div>
      ) : null}
      <div>
        <dt>Hospital</dt>
        <dd>{hospital.display}</dd>
      </div>
      <div>
        <dt>Surgeon</dt>
        <dd>{user.display}</dd>
      </div>
    </dl>
  );
}
