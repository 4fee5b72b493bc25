-- The truth of Tieline. Jobs (procrastinate_*) are only wake-ups for what is due here.

create table account (
    id text primary key,
    username text not null unique,
    email text not null,
    first_name text not null default '',
    last_name text not null default '',
    is_operator boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz
);

create table api_token (
    id text primary key,
    account_id text not null references account on delete cascade,
    name text not null,
    digest bytea not null unique, -- SHA-256 of a random 256-bit token: nothing to brute-force
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    last_used_at timestamptz
);

create table project (
    id text primary key,
    title text not null,
    description text not null default '',
    attributes jsonb not null default '{}',
    default_branch text,
    timezone text not null default 'UTC',
    region text not null default 'local',
    owner text not null references account,
    created_at timestamptz not null default now(),
    updated_at timestamptz
);

create table project_access (
    project_id text not null references project on delete cascade,
    account_id text not null references account on delete cascade,
    role text not null check (role in ('admin', 'viewer')),
    granted_at timestamptz not null default now(),
    primary key (project_id, account_id)
);
create index project_access_by_account on project_access (account_id);

create table integration (
    id text primary key,
    project_id text not null references project on delete cascade,
    type text not null,
    is_git_source boolean not null default false,
    config jsonb not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz,
    deleted_at timestamptz,           -- hidden at once; the row goes when its hook at the host is gone
    remote_id text,                   -- the host's own id, which outlives renames
    remote_default_branch text,       -- as last seen at the host, so that a change of it is noticed
    hook_id text,
    hook_checked_at timestamptz,
    signed_hook_seen boolean not null default false,
    next_reconcile_at timestamptz,    -- when the timer looks again; null for types that have nothing to read
    reconciled_at timestamptz,
    last_error text,
    prune_hold jsonb                  -- {"environments": [...], "since": "..."}
);
create index integration_by_project on integration (project_id, created_at, id);
create unique index integration_one_git_source on integration (project_id) where is_git_source and deleted_at is null;
create index integration_due on integration (next_reconcile_at) where deleted_at is null;

create table integration_secret (
    integration_id text not null references integration on delete cascade,
    name text not null,               -- dotted field name, or 'hook'
    key_id text not null,             -- which key sealed it, for rotation
    sealed bytea not null,            -- AES-256-GCM, bound to integration and name
    primary key (integration_id, name)
);

-- One row: the key that everything is sealed with. A process that does not hold it is refused at its start.
create table sealing_key (
    id text primary key,
    since timestamptz not null default now()
);

create table hook_delivery (
    id bigint generated always as identity primary key,
    integration_id text not null references integration on delete cascade,
    received_at timestamptz not null default clock_timestamp(),
    headers jsonb not null,
    body bytea not null,              -- empty when the hook was not signed: its body is never read
    is_signed boolean not null,
    read_at timestamptz,
    outcome text
);
create index hook_delivery_unread on hook_delivery (integration_id, id) where read_at is null;
create index hook_delivery_age on hook_delivery (received_at);

create table environment (
    project_id text not null references project on delete cascade,
    id text not null,
    integration_id text references integration on delete set null,
    name text not null,               -- the branch itself, byte for byte
    machine_name text not null,
    title text not null,
    attributes jsonb not null default '{}',
    type text not null check (type in ('production', 'staging', 'development')),
    status text not null check (status in ('active', 'inactive', 'deleting', 'dirty', 'paused')),
    parent text,
    is_main boolean not null default false,
    pull jsonb,                       -- PullInfo, null for branches
    head_commit text,
    has_remote boolean not null default true,
    awaiting_approval boolean not null default false,
    clone_parent_on_create boolean not null default true,
    init_resources text not null default 'default',
    http_access jsonb not null default '{"is_enabled": true, "addresses": [], "basic_auth": {}}',
    enable_smtp boolean not null default false,
    restrict_robots boolean not null default true,
    deployment jsonb,                 -- {"commit", "urls", "deployed_at"} of the last that succeeded
    data_synced_at timestamptz,
    last_active_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz,
    primary key (project_id, id)
);
create unique index environment_one_main on environment (project_id) where is_main;
create unique index environment_one_branch on environment (project_id, name) where pull is null;
create unique index environment_machine_name on environment (project_id, machine_name);
create index environment_going on environment (project_id, id) where status = 'deleting';

create table activity (
    id text primary key,
    project_id text not null references project on delete cascade,
    integration_id text,              -- kept when the integration or environment is gone
    environment_id text,
    type text not null,
    parameters jsonb not null default '{}',
    state text not null default 'pending' check (state in ('pending', 'in_progress', 'complete', 'cancelled')),
    result text check (result in ('success', 'failure')),
    failure_reason text,
    payload jsonb not null default '{}',
    description text not null default '',
    text text not null default '',
    timings jsonb not null default '{}',
    commands jsonb not null default '[]',
    completion_percent integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    cancelled_at timestamptz,
    expires_at timestamptz,
    cancel_requested_at timestamptz,
    queue text not null default 'default' check (queue in ('default', 'integrations')),
    concurrency_key text,             -- one at a time per key; null runs at once, where it was created
    is_production boolean not null default false,
    admitted_at timestamptz,
    attempt integer not null default 0,
    check ((state = 'complete') = (result is not null and cancelled_at is null))
);
create unique index activity_newest on activity (project_id, created_at desc);
create index activity_by_environment on activity (project_id, environment_id, created_at desc);
create index activity_by_integration on activity (integration_id, created_at desc);
create index activity_by_type on activity (project_id, type, created_at desc);
create index activity_failed on activity (project_id, created_at desc) where result = 'failure';
create index activity_cancelled on activity (project_id, created_at desc) where state = 'cancelled';
create index activity_open on activity (project_id, created_at desc) where state in ('pending', 'in_progress');
create index activity_of_key on activity (concurrency_key, created_at) where state in ('pending', 'in_progress');
create index activity_running on activity (project_id, queue)
    where state in ('pending', 'in_progress') and admitted_at is not null;
create index activity_parked on activity (project_id, queue, is_production desc, created_at)
    where state = 'pending' and admitted_at is null;
create index activity_age on activity (expires_at);

create table activity_log (
    activity_id text not null references activity on delete cascade,
    seq integer not null,
    at timestamptz not null,
    message text not null,
    primary key (activity_id, seq)
);

-- What must reach somebody outside, written by the transaction that made it true.
create table delivery (
    id bigint generated always as identity primary key,
    project_id text not null references project on delete cascade,
    integration_id text not null references integration on delete cascade,
    activity_id text,
    kind text not null,               -- 'commit_status'
    order_key text not null,          -- deliveries of one key go out one after the other
    payload jsonb not null,
    state text not null default 'pending' check (state in ('pending', 'delivered', 'failed')),
    attempts integer not null default 0,
    next_attempt_at timestamptz not null default now(),
    last_error text,
    created_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz
);
create index delivery_due on delivery (integration_id, order_key, id) where state = 'pending';
create index delivery_failed on delivery (finished_at) where state = 'failed';

-- A rolling hour of requests per credential, in minutes; shared by every process.
create table rate_use (
    credential text not null,         -- a hash, never the credential
    minute timestamptz not null,
    used integer not null,
    primary key (credential, minute)
);
create table rate_block (
    credential text primary key,
    until timestamptz not null
);

-- Wake a worker, unless one is about to wake for the same key. Part of the caller's transaction. Nothing is
-- ever scheduled for later here: what becomes due by time is found by the sweep.
create function tieline_wake(
    task text, wake_key text, arguments jsonb, run_lock text default null, job_queue text default 'short'
) returns void language plpgsql as $$
begin
    if exists (select 1 from procrastinate_jobs
               where queueing_lock = wake_key and status = 'todo')
    then
        return;
    end if;
    perform procrastinate_defer_jobs_v1(array[
        row(job_queue, task, 0, run_lock, wake_key, arguments, null)::procrastinate_job_to_defer_v1]);
exception when unique_violation then
    return;
end $$;

-- Builds may take hours, so they have workers of their own and never hold up hooks, fetches and deliveries. So have
-- fetches from a host that was never read before, or not well the last time: they may take as long as they need, which
-- a few of them at once would make everybody wait for (`sync.reconcile.Surroundings.patience`).
create function tieline_wake_activity(admitted activity) returns void language sql as $$
    select tieline_wake('run_activity', 'activity:' || admitted.id, jsonb_build_object('activity_id', admitted.id),
                        admitted.concurrency_key,
                        case when admitted.queue = 'default' then 'long'
                             when admitted.type like '%.fetch' and exists (
                                select 1 from integration where id = admitted.integration_id
                                  and (reconciled_at is null or last_error is not null))
                             then 'slow' else 'short' end)
$$;

-- A job that waits for the lock of another is fetched when that one ends, not at the worker's next look.
create function tieline_lock_freed() returns trigger language plpgsql as $$
begin
    perform pg_notify('procrastinate_queue_v1#' || waiting.queue_name,
                      json_build_object('type', 'job_inserted', 'job_id', waiting.id)::text)
    from procrastinate_jobs as waiting
    where waiting.lock = old.lock and waiting.status = 'todo'
    order by waiting.id limit 1;
    return null;
end $$;
create trigger tieline_lock_freed after delete on procrastinate_jobs
    for each row when (old.status = 'doing' and old.lock is not null) execute function tieline_lock_freed();

-- Creation times are the paging key of activities, so they must differ within a project.
create function tieline_activity_time(project text) returns timestamptz language plpgsql as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('activity:' || project, 0));
    return (select greatest(clock_timestamp(), max(created_at) + interval '1 microsecond')
            from activity where project_id = project);
end $$;

-- The seconds from an activity's start until now, as its timings show them.
create function tieline_execute_time(started timestamptz) returns jsonb language sql as $$
    select jsonb_build_object('execute', round(extract(epoch from clock_timestamp() - started), 3))
$$;

-- Decide which pending activities may run now: the oldest of each concurrency key that has none running, as many as
-- the limit per queue and project leaves room for, production first. Called after every insert, finish and cancel,
-- in the same transaction. Each step goes along an index, however many wait.
create function tieline_admit(project text) returns integer language plpgsql as $$
declare
    chosen activity;
    admitted integer := 0;
begin
    perform pg_advisory_xact_lock(hashtextextended('activity:' || project, 0));
    for chosen in
        select next.* from (values ('default', 2), ('integrations', 4)) as limits (queue, most)
        cross join lateral (
            select greatest(limits.most - count(*), 0) as slots from activity
            where project_id = project and queue = limits.queue
              and state in ('pending', 'in_progress') and admitted_at is not null
        ) as free
        cross join lateral (
            select waiting.* from activity as waiting
            where waiting.project_id = project and waiting.queue = limits.queue
              and waiting.state = 'pending' and waiting.admitted_at is null and waiting.concurrency_key is not null
              and not exists (
                select 1 from activity as first
                where first.concurrency_key = waiting.concurrency_key and first.state in ('pending', 'in_progress')
                  and (first.admitted_at is not null or first.created_at < waiting.created_at))
            order by waiting.is_production desc, waiting.created_at
            limit free.slots
        ) as next
    loop
        update activity set admitted_at = clock_timestamp() where id = chosen.id;
        perform tieline_wake_activity(chosen);
        admitted := admitted + 1;
    end loop;
    return admitted;
end $$;
