// The reference client of MCP against the server at URL: what it lists, and what a call comes to. One JSON line a step.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
const [modules, url, question] = process.argv.slice(2);
const require = createRequire(pathToFileURL(modules + "/"));
const load = async (name) => import(pathToFileURL(require.resolve("@modelcontextprotocol/sdk/" + name)));
const { Client } = await load("client/index.js");
const { StreamableHTTPClientTransport } = await load("client/streamableHttp.js");
const say = (value) => console.log(JSON.stringify(value));

const client = new Client({ name: "second-opinion", version: "1" });
const transport = new StreamableHTTPClientTransport(new URL(url));
await client.connect(transport);
say({ server: client.getServerVersion(), session: Boolean(transport.sessionId), version: transport.protocolVersion });
say({ tools: (await client.listTools()).tools.map((tool) => tool.name) });
say({ routes: await client.callTool({ name: "list-egress-routes", arguments: {} }) });
try {
  await client.callTool({ name: "no-such", arguments: {} });
  say({ unknown: "answered" });
} catch (error) {
  say({ unknown: error.code });
}
let progress = 0;
const answer = await client.callTool({ name: "ask-operator", arguments: { question } }, undefined, {
  onprogress: () => { progress += 1; }, resetTimeoutOnProgress: true, timeout: 60000 });
say({ answer, progress });
// Given up: the server hears it.
const gone = new AbortController();
const call = client.callTool({ name: "ask-operator", arguments: { question: "never mind" } }, undefined, { signal: gone.signal });
setTimeout(() => gone.abort("changed my mind"), 200);
say({ cancelled: await call.then(() => false, () => true) });
await client.ping();
await transport.terminateSession();
await client.close();
say({ closed: true });
