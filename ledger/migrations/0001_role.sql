-- The role the application's connections run as. It belongs to the cluster, so another database of the same
-- cluster may be creating it at this very moment.
do $$
begin
    if not exists (select from pg_roles where rolname = 'comptoir_app') then
        create role comptoir_app nologin;
    end if;
exception
    when duplicate_object or unique_violation then null;
end
$$;

-- Where one login both migrates and serves, it has to be able to become the role. Where the role was made by somebody
-- else, that is theirs to grant, to the login that serves.
do $$
begin
    if not (select rolsuper from pg_roles where rolname = current_user) then
        execute format('grant comptoir_app to %I', current_user);
    end if;
exception
    when insufficient_privilege then
        raise warning 'grant comptoir_app to the application''s login: % may not', current_user;
end
$$;

-- It reads everything and changes nothing: what it may post, it posts through functions that run as their owner.
revoke all on schema ledger from public;
revoke execute on all functions in schema ledger from public;
grant usage on schema ledger to comptoir_app;
grant select on ledger.asset, ledger.account, ledger.request, ledger.movement, ledger.movement_default, ledger.entry
    to comptoir_app;
