// Two MLLP clients that know nothing of this project send what they are given, and say what came back.
// Usage: node mllp.mjs '<JSON: plain, tls, mutual (ports), ca, certificate, key (PEM files), messages,
// own (a port that is free: mllp-node listens as well as it sends)>'
import { readFileSync } from "node:fs";
import mllp from "mllp-node";
import { Client, Message } from "node-hl7-client";

const given = JSON.parse(process.argv[2]);
const { messages } = given; // of each way, in a list under its name

// node-hl7-client: one connection, each message once the one before it is answered.
async function client(name, tls) {
  const answers = [];
  let told;
  const one = new Client({
    host: "127.0.0.1", version: "2.4", maxConnectionAttempts: 1, connectionTimeout: 5000, tls,
  });
  const connection = one.createConnection({ port: given[name] }, async (response) => {
    const message = response.getMessage();
    answers.push([message.get("MSA.1").toString(), message.get("MSA.2").toString()]);
    told();
  });
  for (const text of messages[name]) {
    const answered = new Promise((resolve) => { told = resolve; });
    await connection.sendMessage(new Message({ text }));
    await answered;
  }
  await connection.close();
  return answers;
}

// mllp-node: a connection for each message; what it calls the answer is the second line of it.
function eachAlone() {
  const node = new mllp.MLLPServer("127.0.0.1", given.own, () => {});
  const one = (text) =>
    new Promise((resolve, reject) => {
      const told = (error, answer) => (error ? reject(error) : resolve(answer.split("|").slice(1, 3)));
      node.send("127.0.0.1", given.plain, text, told);
    });
  return messages.each.reduce(
    async (before, text) => [...(await before), await one(text)],
    Promise.resolve([]),
  );
}

const trusted = { ca: readFileSync(given.ca), servername: "localhost" };
const shown = {
  ...trusted, cert: readFileSync(given.certificate), key: readFileSync(given.key),
};
const said = {
  plain: await client("plain"),
  tls: await client("tls", trusted),
  mutual: await client("mutual", shown),
  each: await eachAlone(),
};
process.stdout.write(JSON.stringify(said), () => process.exit(0));
