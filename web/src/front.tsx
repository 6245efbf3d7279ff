/** The front page: what this address is, and the way in. */
export function Front() {
  return (
    <>
      <header className="bar">
        <div className="bar-inner">
          <strong className="brand">CSOR</strong>
          <span>Children's Surgery Outcome Reporting</span>
        </div>
      </header>
      <main className="plain">
        <h1>Children's Surgery Outcome Reporting</h1>
        <section>
          <h2>For surgeons</h2>
          <p>
            Open operative notes from the child's record in your hospital's system. On the machine
            that runs the registry you can also <a href="/note">write a note here</a>.
          </p>
        </section>
        <section>
          <h2>For parents</h2>
          <p>Use the link in the message that we sent you: it opens your questions.</p>
        </section>
        <section>
          <h2>For systems</h2>
          <p>
            <a href="/integrators">Register a client</a>, and see by its{' '}
            <a href="/scorecard">scorecard</a> what it has shown.
          </p>
          <p>
            The FHIR R4 endpoint is <a href="/fhir/metadata">/fhir</a>; its{' '}
            <a href="/fhir/metadata">CapabilityStatement</a> says what it does.
          </p>
        </section>
      </main>
    </>
  );
}
