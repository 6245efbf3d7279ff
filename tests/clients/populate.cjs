// Populates forms with an implementation that others wrote: reads cases from a file, writes responses to
// stdout. A case is {form, patient, user, encounter, found}: what a query of a resource type finds.
const { readFileSync } = require("node:fs");
const { populateQuestionnaire } = require("@aehrc/sdc-populate");

console.log = console.warn = console.error = () => {};

async function populated({ form, patient, user, encounter, found }) {
  const answer = async (query) => {
    const type = query.split("?")[0].split("/").filter(Boolean).pop();
    const kind = query.includes("?") ? type : query.split("/").slice(-2)[0];
    const entry = (found[kind] ?? []).map((resource) => ({ resource }));
    const data = query.includes("?")
      ? { resourceType: "Bundle", type: "searchset", total: entry.length, entry }
      : entry[0]?.resource;
    return { data };
  };
  const { populateResult } = await populateQuestionnaire({
    questionnaire: form,
    patient,
    user,
    encounter,
    fetchResourceCallback: answer,
    fetchResourceRequestConfig: { sourceServerUrl: "http://localhost/fhir" },
    fetchTerminologyCallback: async () => ({ resourceType: "ValueSet", status: "active" }),
    fetchTerminologyRequestConfig: { terminologyServerUrl: "http://localhost/fhir" },
  });
  return populateResult?.populatedResponse ?? null;
}

(async () => {
  const cases = JSON.parse(readFileSync(process.argv[2], "utf8"));
  const responses = [];
  for (const each of cases) {
    responses.push(await populated(each).catch((failed) => ({ failed: String(failed) })));
  }
  process.stdout.write(JSON.stringify(responses), () => process.exit(0));
})();
