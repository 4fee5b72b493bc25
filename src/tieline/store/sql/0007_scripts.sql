-- What activity scripts keep between runs.

create table script_storage (
    integration_id text not null references integration on delete cascade,
    key text not null,
    value text not null,
    updated_at timestamptz not null default clock_timestamp(),
    primary key (integration_id, key)
);
