-- What happened, who is told of it, and how far that got.

alter table integration add column is_sink boolean not null default false; -- wants to be told of activities
create index integration_sinks on integration (project_id) where is_sink and deleted_at is null;

-- The outbox: activities as they were when they entered a state, until somebody has looked who wants to know.
create table activity_event (
    id bigint generated always as identity primary key,
    project_id text not null references project on delete cascade,
    activity jsonb,                   -- whoever wants to know is told of it
    delivery jsonb,                   -- or what is to be delivered is known already
    at timestamptz not null default clock_timestamp()
);
create index activity_event_of_project on activity_event (project_id, id);

-- What receivers are told of one event: the same bytes for all of them, at every attempt.
create table message (
    id bigint generated always as identity primary key,
    project_id text not null references project on delete cascade,
    cause_id text not null,           -- the activity
    type text not null,
    state text not null,
    result text,
    environment_id text,
    body bytea not null,
    created_at timestamptz not null default clock_timestamp()
);
create index message_age on message (created_at);

-- How it stands with whoever is told by one integration.
create table receiver (
    integration_id text primary key references integration on delete cascade,
    failures integer not null default 0, -- attempts that failed one after the other
    failing_since timestamptz,        -- nothing but failures since then
    closed_until timestamptz,         -- the breaker: nothing is tried before
    paused_at timestamptz,            -- what is pending or waits is held since then, and looks so to people
    paused_because text,
    resumed_at timestamptz            -- what was to wait longer at that time need not
);

-- The processes that deliver. One that is silent for a while is dead, and what it had claimed is free.
create table sender (
    id text primary key,
    seen_at timestamptz not null default clock_timestamp()
);

alter table delivery rename to delivery_before;
alter index delivery_due rename to delivery_before_due;
alter index delivery_failed rename to delivery_before_failed;
alter table delivery_before rename constraint delivery_pkey to delivery_before_pkey;

create table delivery (
    id bigint generated always as identity primary key,
    project_id text not null,
    integration_id text not null references integration on delete cascade,
    kind text not null check (kind in ('activity', 'commit_status')),
    message_id bigint,                -- of an activity
    payload jsonb,                    -- of a commit status
    cause_id text,                    -- the activity that it tells of
    activity_id text,                 -- the activity that it is itself, once there is something to tell
    order_key text,                   -- deliveries of one key go out one after the other; null goes out at once
    is_first boolean not null,        -- nothing of its key is open before it
    state text not null default 'pending'
        check (state in ('pending', 'delivering', 'delivered', 'waiting', 'failed')),
    attempts integer not null default 0, -- those that count, since it was added or replayed
    tries integer not null default 0, -- all there ever were
    crashes integer not null default 0, -- how often whoever tried did not live to say what happened
    due_at timestamptz not null default clock_timestamp(),
    planned_seconds real not null default 0, -- how long it was to wait until then
    claimed_by text,
    has_effects boolean not null default false, -- interrupted now, it must not be tried again
    last_error text,
    created_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz
);
-- What may be claimed; behind one that waits hours there may be a million others, which are not looked at.
create index delivery_due on delivery (integration_id, state, due_at)
    where is_first and state in ('pending', 'waiting');
create index delivery_in_order on delivery (integration_id, order_key, id)
    where state in ('pending', 'delivering', 'waiting');
create index delivery_in_flight on delivery (integration_id) where state = 'delivering';
create index delivery_listed on delivery (integration_id, id desc);
create index delivery_failed on delivery (integration_id, id desc) where state = 'failed';
create index delivery_age on delivery using brin (created_at);

insert into delivery (
    project_id, integration_id, kind, payload, cause_id, order_key, is_first, state, attempts, tries, due_at,
    last_error, created_at, finished_at)
select project_id, integration_id, kind, payload, activity_id, order_key,
       state <> 'pending' or not exists (
           select 1 from delivery_before as first
           where first.integration_id = old.integration_id and first.order_key = old.order_key
             and first.state = 'pending' and first.id < old.id),
       case when state = 'pending' and attempts > 0 then 'waiting' else state end,
       attempts, attempts, next_attempt_at, last_error, created_at, finished_at
from delivery_before as old order by id;
insert into receiver (integration_id) select distinct integration_id from delivery_before;
drop table delivery_before;
delete from procrastinate_jobs where task_name = 'send_deliveries'; -- they are woken otherwise now

create table delivery_attempt (
    delivery_id bigint not null,
    number integer not null,
    started_at timestamptz not null,
    seconds real not null,
    verdict text not null,
    sentence text not null,
    error text,                       -- the class of what went wrong
    status integer,
    address text,                     -- the one that was dialled
    request jsonb,                    -- {"method", "url", "headers"}; its body is the message's
    answer bytea,                     -- the beginning of it
    primary key (delivery_id, number)
);

-- Rows that are written with others by the hundred are not each looked up where they belong: what belongs to a row that
-- goes is removed with it, once for all rows of a statement.
create function tieline_drop_attempts() returns trigger language plpgsql as $$
begin
    delete from delivery_attempt where delivery_id in (select id from gone);
    return null;
end $$;
create trigger tieline_drop_attempts after delete on delivery
    referencing old table as gone for each statement execute function tieline_drop_attempts();

alter table activity_log drop constraint activity_log_activity_id_fkey;
create function tieline_drop_logs() returns trigger language plpgsql as $$
begin
    delete from activity_log where activity_id in (select id from gone);
    return null;
end $$;
create trigger tieline_drop_logs after delete on activity
    referencing old table as gone for each statement execute function tieline_drop_logs();

alter table activity drop constraint activity_project_id_fkey;
create function tieline_drop_activities() returns trigger language plpgsql as $$
begin
    delete from activity where project_id in (select id from gone);
    return null;
end $$;
create trigger tieline_drop_activities after delete on project
    referencing old table as gone for each statement execute function tieline_drop_activities();

-- The activities of deliveries are in no environment, and there are more of them than of all others.
drop index activity_by_environment, activity_of_environment_by_type;
create index activity_by_environment on activity (project_id, environment_id, created_at desc)
    where environment_id is not null;
create index activity_of_environment_by_type on activity (project_id, environment_id, type, created_at desc)
    where environment_id is not null;

-- They go in the order in which they came.
drop index activity_age;
create index activity_age on activity using brin (expires_at);

-- Creation times differ within a project. Those of deliveries are odd microseconds and all others even ones, so that
-- neither has to wait for the other.
create or replace function tieline_activity_time(project text) returns timestamptz language plpgsql as $$
declare
    moment timestamptz;
begin
    perform pg_advisory_xact_lock(hashtextextended('activity:' || project, 0));
    select greatest(clock_timestamp(), max(created_at) + interval '1 microsecond') into moment
    from activity where project_id = project;
    return moment + extract(microseconds from moment)::bigint % 2 * interval '1 microsecond';
end $$;
create function tieline_delivery_time(project text) returns timestamptz language plpgsql as $$
declare
    moment timestamptz;
begin
    perform pg_advisory_xact_lock(hashtextextended('delivery:' || project, 0));
    select greatest(clock_timestamp(), max(created_at) + interval '1 microsecond') into moment
    from activity where project_id = project;
    return moment + (1 - extract(microseconds from moment)::bigint % 2) * interval '1 microsecond';
end $$;
