-- The first page of activities costs the same whatever it is filtered by, and however rarely that matches.
create index activity_of_environment_by_type on activity (project_id, environment_id, type, created_at desc);
create index activity_of_integration_by_type on activity (integration_id, type, created_at desc);
create index activity_failed_by_type on activity (project_id, type, created_at desc) where result = 'failure';
create index activity_failed_of_environment on activity (project_id, environment_id, created_at desc)
    where result = 'failure';
create index activity_failed_of_integration on activity (integration_id, created_at desc) where result = 'failure';
