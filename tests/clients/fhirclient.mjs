// What an integrator does with npm fhirclient: `node fhirclient.mjs <FHIR base URL>` prints JSON.
// All people are fictitious.
import smart from "fhirclient";

const base = process.argv[2];
const client = new smart.FhirClient(base);
const SYSTEM = "https://csor.example/fhir/sid/npm-client";

const created = await client.create({
  resourceType: "Patient",
  identifier: [{ system: SYSTEM, value: "1" }],
  name: [{ family: "Testchild-Wren", given: ["Fictitious"] }],
  birthDate: "2021-03-04",
});
const again = await client.create(
  { resourceType: "Patient", identifier: [{ system: SYSTEM, value: "1" }] },
  { headers: { "If-None-Exist": `identifier=${SYSTEM}|1` } },
);

const read = await client.fhirRequest(`Patient/${created.id}`);
const updated = await client.update({ ...read, gender: "female" });
const first = await client.fhirRequest(`Patient/${created.id}/_history/1`);

const answered = await client.fhirRequest("/", {
  method: "POST",
  headers: { "content-type": "application/fhir+json" },
  body: JSON.stringify({
    resourceType: "Bundle",
    type: "transaction",
    entry: [1, 2, 3, 4, 5].map((day) => ({
      fullUrl: `urn:uuid:00000000-0000-5000-8000-00000000000${day}`,
      resource: {
        resourceType: "Observation",
        identifier: [{ system: SYSTEM, value: `day-${day}` }],
        status: "final",
        code: { text: "fictitious" },
        subject: { reference: `Patient?identifier=${SYSTEM}|1` },
        effectiveDateTime: `2021-03-0${day}`,
        valueQuantity: { value: 3000 + day, unit: "g" },
      },
      request: { method: "POST", url: "Observation" },
    })),
  }),
});

const found = await client.fhirRequest(`Patient?identifier=${SYSTEM}|1`);
const days = [];
let pages = 0;
for await (const page of client.pages(`Observation?patient=${created.id}&date=ge2021-03-02&_count=3`)) {
  pages += 1;
  days.push(...page.entry.map((entry) => entry.resource.effectiveDateTime));
}
const [observation] = await Array.fromAsync(client.resources("Observation?_count=1", { limit: 1 }));
await client.resolveReferences(observation, ["subject"]);

const refusals = {};
for (const [name, act] of Object.entries({
  invalid: () => client.create({ resourceType: "Patient", birthDate: "04/03/2021" }),
  unknown: () => client.fhirRequest("Patient/nobody"),
  parameter: () => client.fhirRequest("Patient?nothing=1"),
})) {
  refusals[name] = await act().then(
    () => "accepted",
    (failure) => [failure.statusCode, failure.message],
  );
}

console.log(
  JSON.stringify({
    release: await client.getFhirRelease(),
    created,
    again: again.id,
    read,
    updated,
    first,
    statuses: answered.entry.map((entry) => entry.response.status),
    found: found.entry.map((entry) => entry.resource.id),
    days,
    pages,
    resolved: observation.subject.name?.[0].family,
    refusals,
  }),
);
