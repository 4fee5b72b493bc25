-- Keys that are being replaced are good for a while longer.

alter table integration_secret add column expires_at timestamptz;
create index integration_secret_expiring on integration_secret (expires_at) where expires_at is not null;
