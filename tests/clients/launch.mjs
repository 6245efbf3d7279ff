// What a SMART app with npm fhirclient sees of an EPR: `node launch.mjs <issuer> <launch> <launch> <launch>`
// prints JSON. Three launches: as it should be, with a verifier that is not the challenge's, without PKCE.
import smart from "fhirclient";

const [issuer, right, wrong, none] = process.argv.slice(2);
const redirectUri = "http://127.0.0.1/app";
const scope =
  "launch openid fhirUser online_access patient/Patient.r patient/Encounter.rs patient/Condition.rs";

async function launched(launch, { pkceMode = "required", tamper = () => {} } = {}) {
  const kept = new Map();
  const storage = {
    get: async (key) => kept.get(key),
    set: async (key, value) => kept.set(key, value) && value,
    unset: async (key) => kept.delete(key),
  };
  const at = (url) =>
    smart({ url, headers: { host: "127.0.0.1" }, socket: {} }, { writeHead() {}, end() {} }, storage);
  const place = await at(`/launch?${new URLSearchParams({ iss: issuer, launch })}`).authorize({
    clientId: "csor",
    scope,
    redirectUri,
    pkceMode,
    noRedirect: true,
  });
  const answer = await fetch(place, { redirect: "manual" });
  const back = new URL(answer.headers.get("location"));
  tamper(kept);
  return await at(back.pathname + back.search).ready();
}

async function refusal(...given) {
  try {
    await launched(...given);
  } catch (error) {
    return error.message;
  }
}

const client = await launched(right);
const first = client.getState("tokenResponse.access_token");
const patient = await client.patient.read();
const encounter = await client.encounter.read();
const user = await client.user.read();
const conditions = await client.request(`Condition?patient=${patient.id}`, { flat: true });
await client.refresh();
const state = client.getState("tokenResponse");

console.log(
  JSON.stringify({
    patient: patient.name[0].given[0],
    encounter: encounter.id,
    user: `${client.user.fhirUser.split("/").slice(-2).join("/")} ${user.name[0].family}`,
    conditions: conditions.map((each) => each.id),
    context: state.fhirContext,
    refreshed: state.access_token !== first,
    verifier: await refusal(wrong, {
      tamper: (kept) => kept.forEach((value) => value.codeVerifier && (value.codeVerifier = "x".repeat(64))),
    }),
    plain: await refusal(none, { pkceMode: "disabled" }),
  }),
);
