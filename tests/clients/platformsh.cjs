// What somebody does with platformsh-client who has pointed it at Tieline. Prints what each step brought, as JSON.

const { default: Client } = require("platformsh-client");

const { TIELINE_URL: url, ACCESS_TOKEN: access_token, PROJECT: projectId, SITE: siteId, TOLD: toldId } = process.env;
const client = new Client({ api_url: url, authentication_url: url, authorization: `${url}/oauth2`, access_token });
const saw = {};

// What a request that the server refuses is rejected with.
const refusal = (promise) => promise.then(() => null, (reason) => reason);

async function whoAndWhere() {
  const me = await client.getAccountInfo();
  saw.me = { id: me.id, username: me.username, mail: me.mail, projects: me.projects.map((each) => each.id) };
  const listed = (await client.getProjects()).find((each) => each.id === siteId);
  saw.listed = { title: listed.title, integrations: (await listed.getIntegrations()).map((each) => each.type) };
}

async function integrations() {
  const project = await client.getProject(projectId);
  const renamed = await project.update({ title: "Renamed" });
  saw.renamed = { title: renamed.getEntity().title, activities: renamed.getActivities().length };

  const created = await project.addIntegration("webhook", { url: "https://e.x/h", events: ["*"], result: "failure" });
  const integration = created.getEntity();
  saw.created = integration.data;
  saw.listedIntegrations = (await client.getIntegrations(projectId)).map((each) => each.id);

  const read = await client.getIntegration(projectId, integration.id);
  saw.updated = (await read.update({ url: "https://q.example.com/w" })).getEntity().data;
  saw.wrong = await refusal(project.addIntegration("webhook", { url: "nonsense" }));
  saw.wrongRecipient = await refusal(project.addIntegration("health.email", { recipients: ["nobody"] }));

  saw.unknownToIt = await refusal(project.addIntegration("otlplog", { url: "https://e.x/h" }));

  saw.deleted = (await read.delete()).data;
  saw.gone = await refusal(client.getIntegration(projectId, integration.id));
}

async function activities() {
  const project = await client.getProject(siteId);
  const [integration] = await project.getIntegrations();
  saw.fetches = (await integration.getActivities("integration.bitbucket.fetch", new Date())).map((each) => each.type);
  saw.filtered = (await project.getActivities(["environment.push", "project.create"], new Date())).map((each) => each.type);
  saw.noneSoEarly = await project.getActivities(["environment.push"], new Date(0));
  saw.hook = await integration.triggerHook();

  const [fetch] = await integration.getActivities("integration.bitbucket.fetch", new Date());
  const again = await integration.getActivity(fetch.id);
  saw.sameActivity = [again.id === fetch.id, again.integration === integration.id];
}

async function deliveries() {
  const [integration] = await client.getIntegrations(toldId);
  const [told] = await integration.getActivities("integration.webhook", new Date());
  const log = [];
  await told.getLogs((items) => log.push(...items)).exec();
  saw.told = { type: told.type, state: told.state, result: told.result, text: told.text };
  saw.toldLog = log.filter((each) => each.data).map((each) => each.data.message);
  saw.toldOthers = (await integration.getActivities("integration.script", new Date())).length;
}

async function environments() {
  saw.environments = (await client.getEnvironments(siteId)).map((each) => [each.id, each.status]);
  const environment = await client.getEnvironment(siteId, "pr-1");
  saw.head = (await environment.getHeadCommit()).message;
  const titled = await environment.update({ title: "Search" });
  saw.titled = titled.getEntity().title;

  const activity = await environment.redeploy();
  const log = [];
  await activity.getLogs((items) => log.push(...items)).exec();
  const ended = await activity.wait(undefined, undefined, 0.1);
  saw.redeployed = { type: ended.type, state: ended.state, result: ended.result, progress: ended.completion_percent };
  saw.log = log.filter((each) => each.data).map((each) => each.data.message);
  saw.ofEnvironment = (await environment.getActivities("environment.redeploy")).map((each) => each.id === activity.id);
  saw.branching = [environment.operationAvailable("branch"), environment.operationAvailable("redeploy")];
}

async function capabilities() {
  const project = await client.getProject(siteId);
  saw.types = Object.keys((await project.getCapabilities()).integrations.config);
}

whoAndWhere()
  .then(integrations)
  .then(activities)
  .then(deliveries)
  .then(environments)
  .then(capabilities)
  .then(() => console.log(JSON.stringify(saw)))
  .catch((reason) => {
    console.error(reason);
    process.exitCode = 1;
  });
