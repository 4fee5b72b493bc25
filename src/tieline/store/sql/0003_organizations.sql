-- Organizations that own projects, and what OAuth keeps beyond API tokens.

create table organization (
    id text primary key,              -- 26 characters, like the vendor's: its command line takes others for names
    name text not null unique,
    label text not null,
    owner text not null references account,
    is_default boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz
);
create unique index organization_one_default on organization (is_default) where is_default;

create table organization_member (
    organization text not null references organization on delete cascade,
    account_id text not null references account on delete cascade,
    role text not null check (role in ('admin', 'viewer')),
    created_at timestamptz not null default now(),
    primary key (organization, account_id)
);
create index organization_member_by_account on organization_member (account_id);

-- The organization of whatever names none. It is made when it is first needed, for the first operator there is.
create function tieline_default_organization() returns text language plpgsql as $$
declare
    default_id text;
begin
    select id into default_id from organization where is_default;
    if default_id is null then
        with made as (
            insert into organization (id, name, label, owner, is_default)
            select '0' || upper(left(replace(gen_random_uuid()::text, '-', ''), 25)), 'tieline', 'Tieline', account.id,
                true
            from account order by is_operator desc, created_at, id limit 1
            on conflict do nothing returning id, owner
        )
        insert into organization_member (organization, account_id, role) select id, owner, 'admin' from made;
        select id into default_id from organization where is_default;
    end if;
    return default_id;
end $$;

alter table project add organization text references organization;
update project set organization = tieline_default_organization();
alter table project alter organization set default tieline_default_organization();
alter table project alter organization set not null;
create index project_by_organization on project (organization, created_at, id);

-- Given along with an access token to those who ask for it, to get the next one with.
create table refresh_token (
    id text primary key,
    api_token_id text not null references api_token on delete cascade,
    digest bytea not null unique,     -- SHA-256 of a random 256-bit token, as for API tokens
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null
);
create index refresh_token_of on refresh_token (api_token_id, created_at);
create index refresh_token_end on refresh_token (expires_at);

-- Access tokens that were revoked before their end.
create table revoked_token (
    id text primary key,
    expires_at timestamptz not null
);
create index revoked_token_end on revoked_token (expires_at);
