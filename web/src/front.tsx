/** The front page: what this address is, and the way in. */
export function Front() {
  return (
    <>
      <header className="bar">
        <div className="bar-inner">
          <strong className="brand">CSOR</strong>
        </div>
      </header>
      <main className="plain">
        <h1>Children's Surgery Outcome Reporting</h1>
        <section>
          <h2>For systems</h2>
          <p>
            The FHIR R4 endpoint is below <code>/fhir</code>; its{' '}
            <a href="/fhir/metadata">CapabilityStatement</a> says what it does.
          </p>
        </section>
      </main>
    </>
  );
}
