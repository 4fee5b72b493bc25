import UpsunClient from "platformsh-client";
import { beforeEach, expect, inject, test } from "vitest";

const { url, token } = inject("tieline");
const client = new UpsunClient({ access_token: token, api_url: url, authentication_url: url });

beforeEach(async () => {
  const headers = { Authorization: `Bearer ${token}` };
  const answer = await fetch(`${url}/_tieline/reset`, { method: "POST", headers });
  expect(answer.status).toBe(200);
});

async function urls(project) {
  return (await project.getIntegrations()).map((each) => each.url);
}

test("the project of the seed is there", async () => {
  const project = await client.getProject("shop");
  const environments = await project.getEnvironments();

  expect(project.title).toBe("Shop");
  expect(environments.map((each) => each.name).sort()).toEqual(["feature/cart", "main"]);
});

test("an integration that is added is there for this test", async () => {
  const project = await client.getProject("shop");
  await project.addIntegration("webhook", { url: "https://hooks.example.com/more" });

  expect(await urls(project)).toEqual(["https://hooks.example.com/deploys", "https://hooks.example.com/more"]);
});

test("and gone for the next one", async () => {
  const project = await client.getProject("shop");

  expect(await urls(project)).toEqual(["https://hooks.example.com/deploys"]);
});

test("an activity comes with its log", async () => {
  const project = await client.getProject("shop");
  const [activity] = await project.getActivities();
  const lines = [];
  await activity.getLogs((items) => lines.push(...items)).exec();

  expect(activity.text).toBe("Ada pushed to main");
  expect(lines.map((each) => each.data?.message).filter(Boolean)).toEqual(["Building application 'shop'\n", "Deployed.\n"]);
});
