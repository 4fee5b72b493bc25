-- What an integration is told by name: scripts read it. A sensitive value is sealed, and no other is.
create table integration_variable (
    integration_id text not null references integration on delete cascade,
    name text not null,
    value text,
    key_id text,                      -- which key sealed it, for rotation
    sealed bytea,                     -- AES-256-GCM, bound to integration and name
    attributes jsonb not null default '{}',
    is_json boolean not null default false,
    is_sensitive boolean not null default false,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz,
    primary key (integration_id, name),
    check ((value is null) = is_sensitive),
    check ((sealed is not null) = is_sensitive and (key_id is not null) = is_sensitive)
);
