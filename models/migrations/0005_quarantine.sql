-- Events that are not for this deployment are kept, and nothing is done about them until a person says so.

alter table public.inbox_events
    drop constraint inbox_state_is_known,
    add constraint inbox_state_is_known check (state in ('PENDING', 'DONE', 'DEAD', 'QUARANTINED'));
create index inbox_quarantined on public.inbox_events (id) where state = 'QUARANTINED';
