import type { Organization, Patient, Practitioner } from 'fhir/r4';
import { type FormEvent, useEffect, useState } from 'react';
import { Refused, search } from '../fhir/client';
import type { Named, Session } from './session';

const NHS = 'https://fhir.nhs.uk/Id/nhs-number';
const CHI = 'https://fhir.nhs.uk/Id/chi-number';
const MOST = '200';

interface Given {
  onStart: (session: Session) => void;
}

function nameOf(person: Patient | Practitioner): string {
  const name = person.name?.[0];
  return name?.text ?? [...(name?.prefix ?? []), ...(name?.given ?? []), name?.family].filter(Boolean).join(' ');
}

/** Without a launch: on the machine that runs the registry, child, hospital and surgeon are chosen. */
export function Start({ onStart }: Given) {
  const [hospitals, setHospitals] = useState<Named[] | null>(null);
  const [surgeons, setSurgeons] = useState<Named[]>([]);
  const [hospital, setHospital] = useState('');
  const [surgeon, setSurgeon] = useState('');
  const [number, setNumber] = useState('');
  const [said, setSaid] = useState('');
  const [isRefused, setRefused] = useState(false);

  useEffect(() => {
    async function look(): Promise<void> {
      const places = await search<Organization>('Organization', { _count: MOST, _sort: 'name' });
      const people = await search<Practitioner>('Practitioner', { _count: MOST, _sort: 'family' });
      setHospitals(
        places.map(({ id, name }) => ({ reference: `Organization/${id}`, display: name ?? id ?? '' }))
      );
      setSurgeons(
        people.map((each) => ({ reference: `Practitioner/${each.id}`, display: nameOf(each) }))
      );
    }
    look().catch(() => setRefused(true));
  }, []);

  async function start(event: FormEvent): Promise<void> {
    event.preventDefault();
    const value = number.replace(/\s/g, '');
    const [place, user] = [
      hospitals?.find((each) => each.reference === hospital),
      surgeons.find((each) => each.reference === surgeon)
    ];
    if (!place || !user || !value) {
      setSaid('Give all three: the hospital, the surgeon and the number of the child.');
      return;
    }
    try {
      const identifier = `${NHS}|${value},${CHI}|${value}`;
      const [patient] = await search<Patient>('Patient', { identifier });
      if (!patient) {
        setSaid('No child with this NHS or CHI number is in the registry.');
        return;
      }
      onStart({
        user,
        patient: {
          reference: `Patient/${patient.id}`,
          display: nameOf(patient),
          birthDate: patient.birthDate,
          nhsNumber: patient.identifier?.find((each) => each.system === NHS)?.value
        },
        encounter: null,
        hospital: place,
        csrf: null,
        form: null,
        response: null,
        data: null,
        writeBack: false,
        launched: false
      });
    } catch (refusal) {
      setSaid(refusal instanceof Refused ? refusal.sentences.join(' ') : String(refusal));
    }
  }

  if (isRefused) {
    return (
      <section>
        <h1>Open the note from the child's record</h1>
        <p>
          There is no session, or it has ended. Open operative notes from the child's record in your
          hospital's system. A draft that you have begun is kept, and opens again from there.
        </p>
      </section>
    );
  }
  return (
    <form onSubmit={start} noValidate>
      <h1>Write an operative note</h1>
      <p>
        This page was not opened from a hospital's system, and works on the machine that runs the
        registry.
      </p>
      <label className="stacked">
        Hospital
        <select className="input" value={hospital} onChange={(event) => setHospital(event.target.value)}>
          <option value="">Choose</option>
          {(hospitals ?? []).map((each) => (
            <option key={each.reference} value={each.reference}>
              {each.display}
            </option>
          ))}
        </select>
      </label>
      <label className="stacked">
        Surgeon
        <select className="input" value={surgeon} onChange={(event) => setSurgeon(event.target.value)}>
          <option value="">Choose</option>
          {surgeons.map((each) => (
            <option key={each.reference} value={each.reference}>
              {each.display}
            </option>
          ))}
        </select>
      </label>
      <label className="stacked">
        NHS or CHI number of the child
        <input
          className="input input-moment"
          inputMode="numeric"
          autoComplete="off"
          value={number}
          onChange={(event) => setNumber(event.target.value)}
        />
      </label>
      {said ? (
        <p className="complaint" role="alert">
          {said}
        </p>
      ) : null}
      <button type="submit" className="button">
        Continue
      </button>
    </form>
  );
}
