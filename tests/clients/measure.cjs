// Calculates a measure with an engine that others wrote: reads {measure, patients, start, end} from stdin,
// writes {individual, summary}, the MeasureReports, to stdout.
const { readFileSync } = require("node:fs");
const { Calculator } = require("fqm-execution");

console.log = console.warn = console.error = () => {};

async function calculated({ measure, patients, start, end }) {
  const options = {
    measurementPeriodStart: start,
    measurementPeriodEnd: end,
    calculateHTML: false,
    calculateSDEs: false,
  };
  const reports = async (reportType) => {
    const given = { ...options, reportType };
    return (await Calculator.calculateMeasureReports(measure, patients, given)).results;
  };
  return { individual: await reports("individual"), summary: await reports("summary") };
}

calculated(JSON.parse(readFileSync(0, "utf8"))).then(
  (found) => process.stdout.write(JSON.stringify(found)),
  (failure) => {
    process.stderr.write(`${failure.stack}\n`);
    process.exitCode = 1;
  },
);
