// A session's whole life through the generated TypeScript client, on a running server: STREAMSPACE_URL, STREAMSPACE_TOKEN,
// and the API document in STREAMSPACE_DOCUMENT, which says what of the younger operations exists.
import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import * as api from "./client";
import type { Problem, Session } from "./client";
import { client } from "./client/client.gen";

const server = process.env.STREAMSPACE_URL ?? "http://127.0.0.1:8080";
const document = JSON.parse(readFileSync(process.env.STREAMSPACE_DOCUMENT ?? "api/openapi.json", "utf8"));
client.setConfig({ baseUrl: `${server}/api/v1`, auth: process.env.STREAMSPACE_TOKEN ?? "" });

const has = (method: string, path: string): boolean => document.paths[path]?.[method] !== undefined;

/** The answer's body; a refusal ends the program. */
function good<T>(answer: { data?: T; error?: unknown; response?: Response }): T {
  assert.ok(answer.data !== undefined, `refused: ${answer.response?.status} ${JSON.stringify(answer.error)}`);
  return answer.data;
}

/** The problem that a request was refused with. */
function refused(answer: { data?: unknown; error?: Problem; response?: Response }, status: number, type: string): Problem {
  assert.equal(answer.response?.status, status, JSON.stringify(answer.data ?? answer.error));
  assert.ok(answer.error);
  assert.equal(answer.error.status, status);
  assert.equal(answer.error.type, `/problems/${type}`);
  return answer.error;
}

async function until(session_id: string, status: string): Promise<Session> {
  for (const deadline = Date.now() + 60_000; ; await pause(100)) {
    const session = good(await api.getSession({ path: { id: session_id } }));
    if (session.status === status) return session;
    assert.ok(Date.now() < deadline, `not ${status} within a minute: ${JSON.stringify(session)}`);
  }
}

async function sessions(): Promise<void> {
  const created = good(
    await api.createSession({
      body: { template_id: "scratchpad", platform: "local", persistent_home: true, tags: ["typescript"], metadata: { of: "client" } },
    }),
  );
  const path = { id: created.session_id };
  assert.ok((await until(path.id, "running")).url);
  const listed = good(await api.listSessions({ query: { tag: "typescript", status: "running", limit: 10 } }));
  assert.deepEqual(listed.items.map((session) => session.session_id), [path.id]);
  assert.equal(listed.next_cursor, null);

  await younger(path.id);
  good(await api.touchSession({ path }));
  good(await api.hibernateSession({ path }));
  await until(path.id, "hibernated");
  good(await api.wakeSession({ path }));
  await until(path.id, "running");
  assert.ok(good(await api.listSessionEvents({ path })).items.length > 3);

  good(await api.deleteSession({ path }));
  await until(path.id, "deleted");
  const late = refused(await api.wakeSession({ path }), 409, "illegal-transition");
  assert.equal(late.state, "deleted");
}

async function refusals(): Promise<void> {
  const wrong = refused(await api.createSession({ body: { template_id: "no-such-template", idle_timeout: "soon" } }), 422, "invalid-fields");
  assert.deepEqual(wrong.errors.map((mistake) => mistake.field).sort(), ["idle_timeout", "template_id"]);
  refused(await api.getSession({ path: { id: "0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17" } }), 404, "not-found");
  refused(await api.listSessions({ query: { limit: 0 } }), 400, "invalid-parameter");
  refused(await api.listSessions({ auth: "a-wrong-token" }), 401, "unauthorized");
}

async function others(): Promise<void> {
  const template = good(await api.getTemplate({ path: { name: "scratchpad" } }));
  assert.ok(template.built_in && template.manifest);
  assert.ok(good(await api.listTemplates()).items.some((one) => one.name === "scratchpad"));
  const controller = good(await api.listControllers({ query: { platform: "local" } })).items[0];
  assert.ok(controller?.accepting);
  assert.equal(good(await api.getController({ path: { controller_id: controller.controller_id } })).platform, "local");
  assert.ok(good(await api.listPlatforms()).items.some((platform) => platform.platform === "local" && platform.accepting));
  assert.deepEqual(good(await api.listDeadLetters({ query: { status: "open" } })).items, []);
  refused(await api.getDeadLetter({ path: { id: "0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17" } }), 404, "not-found");
}

/** A request to an operation that not every version has, so that its name cannot be written down. */
async function ask(method: "GET" | "POST" | "PATCH", url: string, body?: unknown, headers = {}): Promise<{ status: number; body: any }> {
  const json = body === undefined ? {} : { body, headers: { "Content-Type": "application/json", ...headers } };
  const answer = await client.request({ method, url, security: [{ scheme: "bearer", type: "http" }], ...json });
  assert.ok(answer.response?.ok, `${method} ${url}: ${answer.response?.status} ${JSON.stringify(answer.error)}`);
  return { status: answer.response.status, body: answer.data };
}

async function younger(id: string): Promise<void> {
  if (has("patch", "/sessions/{id}")) {
    assert.deepEqual((await ask("PATCH", `/sessions/${id}`, { tags: ["typescript", "patched"] })).body.tags, ["typescript", "patched"]);
  }
  if (has("post", "/sessions/{id}/extend")) await ask("POST", `/sessions/${id}/extend`, { by: "30m" });
  if (has("get", "/events")) assert.ok((await ask("GET", `/events?entity=session:${id}`)).body.items.length > 0);
  if (has("get", "/applications")) assert.ok(Array.isArray((await ask("GET", "/applications")).body.items));
  if (has("post", "/sessions/bulk")) {
    const job = await ask("POST", "/sessions/bulk", { action: "hibernate", filter: { tag: "typescript" }, dry_run: true });
    assert.equal(job.status, 202);
    assert.equal((await ask("GET", `/jobs/${job.body.job_id}`)).body.kind, "sessions.hibernate");
  }
  const parameters: { name: string }[] = document.paths["/sessions"].post.parameters ?? [];
  if (parameters.some((parameter) => parameter.name.toLowerCase() === "idempotency-key")) {
    const key = { "Idempotency-Key": `typescript-${Date.now()}` };
    const body = { template_id: "scratchpad", platform: "local", tags: ["replayed"] };
    const [first, second] = [await ask("POST", "/sessions", body, key), await ask("POST", "/sessions", body, key)];
    assert.equal(first.body.session_id, second.body.session_id);
    good(await api.deleteSession({ path: { id: first.body.session_id } }));
    await until(first.body.session_id, "deleted");
  }
}

async function main(): Promise<void> {
  await others();
  await refusals();
  await sessions();
  console.log("typescript: a session's life through the generated client, as promised");
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
