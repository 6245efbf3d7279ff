// Extract by @aehrc/sdc-template-extract: a file of [{form, response}] in, one result for each out.

const fs = require("node:fs");
const { inAppExtract } = require("@aehrc/sdc-template-extract");

async function main() {
  const [input, output] = process.argv.slice(2);
  const results = [];
  for (const { form, response } of JSON.parse(fs.readFileSync(input, "utf8"))) {
    const { extractSuccess, extractResult } = await inAppExtract(response, form, null);
    results.push({
      success: extractSuccess,
      bundle: extractResult.extractedBundle ?? null,
      issues: extractResult.issues ?? null,
    });
  }
  fs.writeFileSync(output, JSON.stringify(results));
}

main();
